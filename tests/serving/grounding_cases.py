"""Hand-written answers to judge: passages of an invented company, and sentences that they hold or do not hold.

The first set was written with the check, all but the fourth of the others before they were first run against it. The
fourth is a reviewer's: statements that lost the time, the condition or the exception under which they are true.
"""

from dataclasses import dataclass

from serving.prompt import Evidence


def evidence(marker: int, title: str, text: str, heading: tuple[str, ...] = (), start: int = 0) -> Evidence:
    document = f"doc-{marker}.md"
    return Evidence(marker, document, "sha256:0", title, document, heading, None, start, start + len(text), text)


PASSAGES = (
    evidence(
        1,
        "Refund policy",
        "Enterprise customers may request a refund within 45 days of purchase. Standard customers have 14 days. "
        "Refunds are paid to the original payment method within 10 business days after approval. "
        "Gift cards are not refundable.",
        ("Refunds", "Deadlines"),
        start=412,
    ),
    evidence(
        2,
        "Travel policy",
        "Travel above 500 EUR must be approved by the line manager before booking. Flights under six hours are booked "
        "in economy class. Employees may work from another EU country for up to 30 days a year. "
        "Alcohol is not reimbursed. Meals are reimbursed up to 40 EUR a day in Germany and 60 EUR in Switzerland.",
        ("Travel", "Approval"),
        start=1000,
    ),
    evidence(
        3,
        "Incident runbook",
        "A SEV-1 incident must be acknowledged within 15 minutes. The incident commander informs the legal team when "
        "customer data is affected. Mira Novak leads the on-call rota; Jonas Weber is her deputy. "
        "Backups run daily at 02:00 and are kept for 90 days. Do not restart the billing database without a snapshot.",
        ("Incidents",),
    ),
    evidence(
        4,
        "Support plans",
        "| Plan | Response time (hours) | Price per month (EUR) |\n|---|---|---|\n| Basic | 24 | 20 |\n"
        "| Pro | 4 | 100 |\n| Premium | 1 | 450 |\n\nPremium support is available on weekends. "
        "Basic support is available on workdays only.",
        ("Plans",),
    ),
    evidence(
        5,
        "Security handbook",
        "Passwords must have at least 14 characters. They are changed only after an incident. Laptops are encrypted "
        "with FileVault. Sharing passwords is prohibited. The VPN uses WireGuard since 1 March 2026. "
        "Contractors get access for 6 months and lose it automatically.",
        ("Security", "Passwords"),
    ),
    evidence(
        6,
        "Vacation",
        "Full-time employees have 28 days of vacation a year. Vacation that is not taken expires on 31 March of the "
        "following year. To take vacation:\n- Ask your team lead at least two weeks ahead.\n"
        "- Enter the days in the HR portal.\n- Name a deputy.\n\nParental leave can last up to 36 months.",
        ("Leave",),
    ),
)


@dataclass(frozen=True, slots=True)
class Case:
    """One sentence as the whole answer; `held` by the passage with that marker, or 0 for not at all."""

    question: str
    answer: str
    held: int
    why: str = ""


REFUND = "How long do enterprise customers have to ask for a refund?"
TRAVEL = "Who has to approve my trip?"
INCIDENT = "What happens in a SEV-1 incident?"
PLAN = "How fast is the Pro plan?"
SECURITY = "What are the rules for passwords?"
VACATION = "How much vacation do I get?"

SUPPORTED = (
    Case(REFUND, "Enterprise customers may request a refund within 45 days of purchase.", 1),
    Case(REFUND, "Enterprise customers have 45 days to request a refund.", 1),
    Case(REFUND, "45 days.", 1),
    Case(REFUND, "They have 45 days from the purchase.", 1),
    Case(REFUND, "Enterprise customers can ask for a refund within forty-five days of purchase.", 1),
    Case("How long do standard customers have?", "Standard customers have 14 days.", 1),
    Case("How are refunds paid?", "Refunds are paid to the original payment method within 10 business days.", 1),
    Case("How are refunds paid?", "After approval, refunds are paid within 10 working days.", 1),
    Case("Can I return a gift card?", "Gift cards are not refundable.", 1),
    Case("Can I return a gift card?", "No, gift cards can't be refunded.", 1),
    Case(TRAVEL, "Travel above 500 EUR must be approved by the line manager before booking.", 2),
    Case(TRAVEL, "The line manager must approve travel above 500 EUR.", 2),
    Case(TRAVEL, "Travel over €500 has to be approved by your line manager.", 2),
    Case("Which class do I fly?", "Flights under 6 hours are booked in economy class.", 2),
    Case("Can I work abroad?", "You may work from another EU country for up to 30 days a year.", 2),
    Case("Can I work abroad?", "Yes. Employees may work from another EU country for up to 30 days a year.", 2),
    Case("What about drinks?", "Alcohol is not reimbursed.", 2),
    Case("How much for meals?", "Meals are reimbursed up to 60 EUR a day in Switzerland.", 2),
    Case("How much for meals?", "In Germany, meals are reimbursed up to 40 EUR a day.", 2),
    Case(INCIDENT, "It must be acknowledged within 15 minutes.", 3),
    Case(INCIDENT, "A SEV-1 incident has to be acknowledged within fifteen minutes.", 3),
    Case("Who informs legal?", "The incident commander informs the legal team when customer data is affected.", 3),
    Case("Who runs on-call?", "Mira Novak leads the on-call rota.", 3),
    Case("Who runs on-call?", "The on-call rota is led by Mira Novak, and Jonas Weber is her deputy.", 3),
    Case("When do backups run?", "Backups run daily at 2 am.", 3),
    Case("How long are backups kept?", "Backups are kept for 90 days.", 3),
    Case("Can I restart billing?", "Do not restart the billing database without a snapshot.", 3),
    Case("Can I restart billing?", "No, you should not restart the billing database without a snapshot.", 3),
    Case(PLAN, "The Pro plan has a response time of 4 hours.", 4),
    Case(PLAN, "Pro has a response time of 4 hours and a price of 100 EUR per month.", 4),
    Case("What does Premium cost?", "Premium has a price of 450 EUR per month.", 4),
    Case("Is there weekend support?", "Premium support is available on weekends.", 4),
    Case(SECURITY, "Passwords must have at least 14 characters.", 5),
    Case(SECURITY, "A password needs at least 14 characters.", 5),
    Case(SECURITY, "Sharing passwords is prohibited.", 5),
    Case(SECURITY, "Passwords must not be shared.", 5),
    Case("Which VPN do we use?", "The VPN uses WireGuard.", 5),
    Case("Since when do we use WireGuard?", "The VPN uses WireGuard since March 2026.", 5),
    Case("Since when do we use WireGuard?", "The VPN uses WireGuard since 2026-03-01.", 5),
    Case("How are laptops protected?", "Laptops are encrypted with FileVault.", 5),
    Case("How long does a contractor have access?", "Contractors get access for six months.", 5),
    Case(VACATION, "Full-time employees have 28 days of vacation a year.", 6),
    Case(VACATION, "You have 28 vacation days per year as a full-time employee.", 6),
    Case("When does vacation expire?", "Vacation that is not taken expires on March 31 of the following year.", 6),
    Case("How do I take vacation?", "Ask your team lead at least two weeks ahead.", 6),
    Case("How do I take vacation?", "Enter the days in the HR portal and name a deputy.", 6),
    Case("How long is parental leave?", "Parental leave can last up to 36 months.", 6),
    Case("How long is parental leave?", "- **Parental leave** can last up to 36 months", 6),
    Case("Do enterprise customers get refunds?", "Enterprise customers may request a refund within 45 days.", 1),
    Case("Is alcohol reimbursed?", "Alcohol is not reimbursed.", 2),
)

WRONG = (
    Case(REFUND, "Enterprise customers may request a refund within 60 days of purchase.", 0, "number"),
    Case(REFUND, "Enterprise customers may request a refund within 14 days of purchase.", 0, "number of the others"),
    Case(REFUND, "Enterprise customers may request a refund within 45 hours of purchase.", 0, "unit"),
    Case(REFUND, "Enterprise customers may request a refund within 45 business days of purchase.", 0, "unit"),
    Case(REFUND, "Enterprise customers may not request a refund within 45 days of purchase.", 0, "negation"),
    Case(REFUND, "Standard customers may request a refund within 45 days of purchase.", 0, "who"),
    Case(REFUND, "Enterprise customers have 14 days.", 0, "mixed"),
    Case(REFUND, "Standard customers have 45 days.", 0, "mixed"),
    Case(REFUND, "Enterprise customers must request a refund within 45 days of purchase.", 0, "obligation"),
    Case(REFUND, "Enterprise customers may request a refund after 45 days of purchase.", 0, "bound"),
    Case(REFUND, "Enterprise customers ask for a refund.", 0, "only repeats the question"),
    Case(REFUND, "Enterprise customers have to ask for a refund.", 0, "only repeats the question"),
    Case(
        REFUND,
        "Enterprise customers may request a refund within 45 days of purchase, and shipping is free of charge.",
        0,
        "clause",
    ),
    Case(REFUND, "Enterprise customers may request a refund within 45 days by phone or fax.", 0, "clause"),
    Case("How are refunds paid?", "Refunds are paid in cash within 10 business days after approval.", 0, "what"),
    Case("How are refunds paid?", "Refunds are paid within 10 days after approval.", 0, "unit"),
    Case("How are refunds paid?", "Refunds are paid within 10 weeks after approval.", 0, "unit"),
    Case("How are refunds paid?", "Refunds are paid within 10 business days before approval.", 0, "opposite"),
    Case("Can I return a gift card?", "Gift cards are refundable.", 0, "negation"),
    Case("Can I return a gift card?", "Yes, gift cards are refundable within 45 days.", 0, "negation, merged"),
    Case(TRAVEL, "Travel above 500 EUR must be approved by the finance director before booking.", 0, "who"),
    Case(TRAVEL, "Travel above 500 USD must be approved by the line manager before booking.", 0, "unit"),
    Case(TRAVEL, "Travel above 5,000 EUR must be approved by the line manager before booking.", 0, "number"),
    Case(TRAVEL, "Travel below 500 EUR must be approved by the line manager before booking.", 0, "bound"),
    Case(TRAVEL, "Travel above 500 EUR must be approved by the line manager after booking.", 0, "opposite"),
    Case(TRAVEL, "Travel above 500 EUR need not be approved by the line manager.", 0, "negation"),
    Case("Which class do I fly?", "Flights under six hours are booked in business class.", 0, "what"),
    Case("Which class do I fly?", "Flights over six hours are booked in economy class.", 0, "bound"),
    Case("Can I work abroad?", "Employees may work from another EU country for up to 90 days a year.", 0, "number"),
    Case("Can I work abroad?", "Employees may work from any country in Asia for up to 30 days a year.", 0, "where"),
    Case("Can I work abroad?", "Employees must work from another EU country for 30 days a year.", 0, "obligation"),
    Case("What about drinks?", "Alcohol is reimbursed.", 0, "negation"),
    Case("What about drinks?", "Alcohol is reimbursed up to 40 EUR a day.", 0, "merged"),
    Case("How much for meals?", "Meals are reimbursed up to 60 EUR a day in Germany.", 0, "mixed"),
    Case("How much for meals?", "Meals are reimbursed up to 40 EUR a day in France.", 0, "name"),
    Case("How much for meals?", "Meals are reimbursed up to 40 EUR a week in Germany.", 0, "opposite"),
    Case(INCIDENT, "A SEV-2 incident must be acknowledged within 15 minutes.", 0, "identifier"),
    Case(INCIDENT, "A SEV-1 incident must be acknowledged within 15 hours.", 0, "unit"),
    Case(INCIDENT, "A SEV-1 incident must be acknowledged within 15 minutes by the sales team.", 0, "clause"),
    Case("Who informs legal?", "The incident commander informs the press when customer data is affected.", 0, "who"),
    Case(
        "Who informs legal?",
        "The incident commander informs the finance team when customer data is affected.",
        0,
        "who",
    ),
    Case("Who runs on-call?", "Jonas Weber leads the on-call rota.", 0, "name"),
    Case("Who runs on-call?", "Petra Klein leads the on-call rota.", 0, "name"),
    Case("When do backups run?", "Backups run daily at 2 pm.", 0, "time"),
    Case("When do backups run?", "Backups run weekly at 02:00.", 0, "opposite"),
    Case("How long are backups kept?", "Backups are kept for 90 months.", 0, "unit"),
    Case("Can I restart billing?", "Restart the billing database without a snapshot.", 0, "negation"),
    Case("Can I restart billing?", "You can restart the billing database.", 0, "negation"),
    Case(PLAN, "The Pro plan has a response time of 24 hours.", 0, "row"),
    Case(PLAN, "The Pro plan has a response time of 4 days.", 0, "unit"),
    Case("What does Premium cost?", "Premium has a price of 100 EUR per month.", 0, "row"),
    Case("What does Premium cost?", "Premium has a price of 450 EUR per year.", 0, "opposite"),
    Case("Is there weekend support?", "Basic support is available on weekends.", 0, "mixed"),
    Case(SECURITY, "Passwords must have at most 14 characters.", 0, "bound"),
    Case(SECURITY, "Passwords must have at least 14 letters and 3 symbols.", 0, "number"),
    Case(SECURITY, "Sharing passwords is allowed.", 0, "opposite"),
    Case(SECURITY, "Passwords may be shared.", 0, "negation"),
    Case(SECURITY, "Passwords are changed every 90 days.", 0, "merged"),
    Case("Which VPN do we use?", "The VPN uses OpenVPN.", 0, "name"),
    Case("Since when do we use WireGuard?", "The VPN uses WireGuard since 1 May 2026.", 0, "date"),
    Case("Since when do we use WireGuard?", "The VPN uses WireGuard since 2025.", 0, "date"),
    Case("How are laptops protected?", "Laptops are unencrypted.", 0, "prefix"),
    Case("How are laptops protected?", "Laptops are encrypted with BitLocker.", 0, "name"),
    Case("How long does a contractor have access?", "Employees get access for 6 months.", 0, "who"),
    Case(
        "How long does a contractor have access?", "Contractors get access for 6 months and a free laptop.", 0, "clause"
    ),
    Case(VACATION, "Full-time employees have 30 days of vacation a year.", 0, "number"),
    Case(VACATION, "Part-time employees have 28 days of vacation a year.", 0, "who"),
    Case(
        "When does vacation expire?", "Vacation that is not taken expires on 31 May of the following year.", 0, "date"
    ),
    Case("When does vacation expire?", "Vacation that is not taken never expires.", 0, "opposite"),
    Case("How do I take vacation?", "Ask your team lead at least two months ahead.", 0, "unit"),
    Case("How long is parental leave?", "Parental leave must last 36 months.", 0, "obligation"),
    Case(
        "How long is parental leave?",
        "Parental leave can last up to 36 months and is fully paid by the state.",
        0,
        "clause",
    ),
    Case("Who is the chief executive?", "The chief executive is John Smith.", 0, "invented"),
    Case("What is the weather?", "The weather is sunny and warm today.", 0, "invented"),
    Case("Is alcohol reimbursed?", "Yes.", 0, "a bare side"),
)

SECOND = (
    evidence(
        1,
        "Returns and warranty",
        "Hardware can be returned within 30 days if the packaging is unopened. A restocking fee of 15 % "
        "applies to opened boxes. The warranty covers manufacturing defects for two years; batteries are "
        "covered for six months. Damage caused by liquids is excluded from the warranty.",
        ("Returns",),
    ),
    evidence(
        2,
        "Release notes 4.2",
        "Version 4.2 adds single sign-on with Okta. The export to CSV is twice as fast as in 4.1. Support "
        "for Internet Explorer ends on 30 June 2026. The default session length is now eight hours instead "
        "of twelve. Administrators can disable password login for their workspace.",
        ("4.2",),
    ),
    evidence(
        3,
        "Data processing agreement",
        "The processor notifies the controller of a personal data breach within 72 hours. Sub-processors are "
        "listed in Annex B. Data is stored in Frankfurt and Dublin. The agreement may be terminated by "
        "either party with three months' notice. On termination, all personal data is deleted within 60 days "
        "unless the law requires otherwise.",
        ("DPA", "Duties"),
    ),
    evidence(
        4,
        "Onboarding",
        "New hires receive a laptop on their first day. Access to production is granted after the security "
        "training, which takes about three hours. Ask Lena Hoffmann in IT for a badge. Every new hire has a "
        "buddy for the first 60 days. The canteen opens at 11:30 and closes at 14:00.",
        ("First week",),
    ),
    evidence(
        5,
        "Preisliste",
        "Der Standardtarif kostet 29 € pro Monat und umfasst fünf Nutzer. Zusätzliche Nutzer kosten jeweils "
        "4,50 €. Die Kündigungsfrist beträgt drei Monate zum Quartalsende. Eine Rückerstattung ist nicht "
        "möglich.",
        ("Tarife",),
    ),
)

SECOND_SUPPORTED = (
    Case("How long can I return hardware?", "You can return hardware within 30 days if the packaging is unopened.", 1),
    Case(
        "How long can I return hardware?",
        "Hardware can be returned within 30 days, provided the packaging is unopened.",
        1,
    ),
    Case("Is there a fee?", "Yes, a restocking fee of 15% applies to opened boxes.", 1),
    Case("How long is the warranty?", "The warranty covers manufacturing defects for 2 years.", 1),
    Case("How long are batteries covered?", "Batteries are covered for six months.", 1),
    Case("Is water damage covered?", "Damage caused by liquids is excluded from the warranty.", 1),
    Case("Is water damage covered?", "No, damage caused by liquids is not covered by the warranty.", 1),
    Case("What is new in 4.2?", "Version 4.2 adds single sign-on with Okta.", 2),
    Case("When does IE support end?", "Support for Internet Explorer ends on June 30, 2026.", 2),
    Case("How long is a session?", "The default session length is eight hours.", 2),
    Case("Can I disable passwords?", "Administrators can disable password login for their workspace.", 2),
    Case("How fast is the export?", "The CSV export is twice as fast as in 4.1.", 2),
    Case(
        "When are breaches reported?",
        "The processor notifies the controller within 72 hours of a personal data breach.",
        3,
    ),
    Case("Where is data stored?", "Data is stored in Frankfurt and Dublin.", 3),
    Case("How can the agreement end?", "Either party may terminate the agreement with three months' notice.", 3),
    Case(
        "What happens to data at the end?",
        "All personal data is deleted within 60 days unless the law requires otherwise.",
        3,
    ),
    Case("When do I get my laptop?", "You receive a laptop on your first day.", 4),
    Case("Who gives me a badge?", "Ask Lena Hoffmann in IT for a badge.", 4),
    Case("When does the canteen open?", "The canteen opens at 11:30 am.", 4),
    Case("When do I get access to production?", "Access to production is granted after the security training.", 4),
    Case("Was kostet der Standardtarif?", "Der Standardtarif kostet 29 Euro pro Monat.", 5),
    Case("Wie lange ist die Kündigungsfrist?", "Die Kündigungsfrist beträgt 3 Monate zum Quartalsende.", 5),
)

SECOND_WRONG = (
    Case("How long can I return hardware?", "Hardware can be returned within 30 days if the packaging is opened.", 0),
    Case("How long can I return hardware?", "Software can be returned within 30 days if the packaging is unopened.", 0),
    Case("Is there a fee?", "A restocking fee of 15 % applies to unopened boxes.", 0),
    Case("Is there a fee?", "A restocking fee of 15 EUR applies to opened boxes.", 0),
    Case("How long is the warranty?", "The warranty covers manufacturing defects for six months.", 0),
    Case("How long are batteries covered?", "Batteries are covered for two years.", 0),
    Case("How long are batteries covered?", "Batteries are excluded from the warranty.", 0),
    Case("Is water damage covered?", "Damage caused by liquids is covered by the warranty.", 0),
    Case("What is new in 4.2?", "Version 4.1 adds single sign-on with Okta.", 0),
    Case("What is new in 4.2?", "Version 4.2 adds single sign-on with Google.", 0),
    Case("What is new in 4.2?", "Version 4.2 removes single sign-on with Okta.", 0),
    Case("When does IE support end?", "Support for Internet Explorer ends on 30 July 2026.", 0),
    Case("When does IE support end?", "Support for Internet Explorer starts on 30 June 2026.", 0),
    Case("When does IE support end?", "Support for Firefox ends on 30 June 2026.", 0),
    Case("How long is a session?", "The default session length is twelve hours.", 0),
    Case("Can I disable passwords?", "Users can disable password login for their workspace.", 0),
    Case("Can I disable passwords?", "Administrators can enable password login for their workspace.", 0),
    Case("Can I disable passwords?", "Administrators cannot disable password login for their workspace.", 0),
    Case(
        "When are breaches reported?",
        "The controller notifies the processor of a personal data breach within 72 hours.",
        0,
    ),
    Case(
        "When are breaches reported?",
        "The processor notifies the controller of a personal data breach within 24 hours.",
        0,
    ),
    Case(
        "When are breaches reported?", "The processor notifies the police of a personal data breach within 72 hours.", 0
    ),
    Case("Where is data stored?", "Data is stored in Frankfurt and London.", 0),
    Case("Where is data stored?", "Data is stored outside Frankfurt and Dublin.", 0),
    Case(
        "How can the agreement end?",
        "The agreement may only be terminated by the controller with three months' notice.",
        0,
    ),
    Case("How can the agreement end?", "The agreement may be terminated by either party with three weeks' notice.", 0),
    Case(
        "What happens to data at the end?",
        "All personal data is kept for 60 days unless the law requires otherwise.",
        0,
    ),
    Case("What happens to data at the end?", "On termination, all personal data is deleted within 72 hours.", 0),
    Case("When do I get my laptop?", "New hires receive a phone on their first day.", 0),
    Case("When do I get my laptop?", "New hires receive a laptop on their last day.", 0),
    Case("Who gives me a badge?", "Ask Lena Hoffmann in HR for a badge.", 0),
    Case("Who gives me a badge?", "Ask Mark Hoffmann in IT for a badge.", 0),
    Case("When does the canteen open?", "The canteen opens at 14:00.", 0),
    Case("When do I get access to production?", "Access to production is granted before the security training.", 0),
    Case("When do I get access to production?", "Access to production is granted after three hours.", 0),
    Case("Was kostet der Standardtarif?", "Der Standardtarif kostet 39 € pro Monat.", 0),
    Case("Was kostet der Standardtarif?", "Der Standardtarif kostet 29 € pro Jahr.", 0),
    Case("Ist eine Rückerstattung möglich?", "Eine Rückerstattung ist möglich.", 0),
    Case("Wie lange ist die Kündigungsfrist?", "Die Kündigungsfrist beträgt drei Wochen zum Quartalsende.", 0),
)

THIRD = (
    evidence(
        1,
        "Office rules",
        "Dogs are welcome in the Berlin office on Fridays, if all colleagues in the room agree. Visitors "
        "sign in at the reception and wear a badge. The last person to leave switches on the alarm. Smoking "
        "is only permitted on the roof terrace. Meeting rooms can be booked for at most two hours.",
        ("Office",),
    ),
    evidence(
        2,
        "Expense guide",
        "Receipts are submitted in Ledgerly before the 5th of the following month. Expenses without a "
        "receipt are paid only up to 25 EUR. Hotel rates above 180 EUR a night require the approval of the "
        "department head. Mileage is paid at 0.30 EUR per kilometre. The finance team pays approved claims "
        "every Thursday.",
        ("Expenses",),
    ),
    evidence(
        3,
        "Service agreement with Corvid Ltd",
        "Corvid guarantees an availability of 99.9 % per calendar month. If availability falls below 99 %, "
        "the customer receives a credit of 10 % of the monthly fee. Planned maintenance takes place on "
        "Sundays between 02:00 and 06:00 and does not count as downtime. The contract runs until 31 December "
        "2027 and is renewed for one year unless it is cancelled six months in advance.",
        ("SLA",),
    ),
    evidence(
        4,
        "Database runbook",
        "Before a failover, stop the write traffic and wait until the replica has caught up. Run promote.sh "
        "on the replica, never on the primary. A failover usually takes four minutes. Afterwards, tell the "
        "#platform channel and open a ticket with label DB-FAILOVER.",
        ("Failover",),
    ),
)

THIRD_SUPPORTED = (
    Case(
        "When can I bring my dog?",
        "You can bring your dog to the Berlin office on Fridays if all colleagues in the room agree.",
        1,
    ),
    Case("Where can I smoke?", "Smoking is only permitted on the roof terrace.", 1),
    Case("Where can I smoke?", "You may smoke only on the roof terrace.", 1),
    Case("How long can I book a room?", "Meeting rooms can be booked for up to 2 hours.", 1),
    Case("What do visitors do?", "Visitors have to sign in at the reception and wear a badge.", 1),
    Case(
        "When do I submit receipts?", "Receipts must be submitted in Ledgerly before the 5th of the following month.", 2
    ),
    Case("What without receipt?", "Expenses without a receipt are paid only up to 25 EUR.", 2),
    Case("Which hotels need approval?", "Hotel rates above €180 per night require approval by the department head.", 2),
    Case("What is the mileage rate?", "Mileage is reimbursed at 0.30 EUR per kilometre.", 2),
    Case("When are claims paid?", "Approved claims are paid by the finance team every Thursday.", 2),
    Case("What availability does Corvid guarantee?", "Corvid guarantees 99.9% availability per calendar month.", 3),
    Case(
        "What credit do I get?",
        "The customer receives a credit of 10 % of the monthly fee if availability falls below 99 %.",
        3,
    ),
    Case("When is maintenance?", "Planned maintenance takes place on Sundays between 2 am and 6 am.", 3),
    Case("When does the contract end?", "The contract runs until December 31, 2027.", 3),
    Case("How do I fail over?", "Stop the write traffic and wait until the replica has caught up.", 4),
    Case("How do I fail over?", "Run promote.sh on the replica, never on the primary.", 4),
    Case("How long does it take?", "A failover usually takes four minutes.", 4),
    Case("Whom do I tell?", "Tell the #platform channel and open a ticket with label DB-FAILOVER.", 4),
)

THIRD_WRONG = (
    Case(
        "When can I bring my dog?", "Dogs are welcome in the Berlin office on Fridays.", 0, "its condition is dropped"
    ),
    Case("When can I bring my dog?", "Dogs are welcome in the Munich office on Fridays.", 0),
    Case("When can I bring my dog?", "Dogs are welcome in the Berlin office on Mondays.", 0),
    Case("When can I bring my dog?", "Cats are welcome in the Berlin office on Fridays.", 0),
    Case("When can I bring my dog?", "Dogs are not welcome in the Berlin office on Fridays.", 0),
    Case("Where can I smoke?", "Smoking is permitted in the meeting rooms.", 0),
    Case("Where can I smoke?", "Smoking is not permitted on the roof terrace.", 0),
    Case("How long can I book a room?", "Meeting rooms can be booked for at least two hours.", 0),
    Case("What do visitors do?", "Visitors sign in at the reception and receive a gift card from the host.", 0),
    Case("When do I submit receipts?", "Receipts are submitted in Ledgerly after the 5th of the following month.", 0),
    Case(
        "When do I submit receipts?", "Receipts are submitted in Quickbooks before the 5th of the following month.", 0
    ),
    Case("When do I submit receipts?", "Receipts are submitted in Ledgerly before the 5th of the previous month.", 0),
    Case("What without receipt?", "Expenses without a receipt are paid up to 180 EUR.", 0),
    Case("What without receipt?", "Expenses with a receipt are paid only up to 25 EUR.", 0),
    Case(
        "Which hotels need approval?", "Hotel rates above 180 EUR a night require the approval of the finance team.", 0
    ),
    Case(
        "Which hotels need approval?",
        "Hotel rates below 180 EUR a night require the approval of the department head.",
        0,
    ),
    Case("What is the mileage rate?", "Mileage is paid at 0.30 EUR per mile.", 0),
    Case("What is the mileage rate?", "Mileage is paid at 0.03 EUR per kilometre.", 0),
    Case("When are claims paid?", "The finance team rejects approved claims every Thursday.", 0),
    Case(
        "What availability does Corvid guarantee?", "Corvid guarantees an availability of 99 % per calendar month.", 0
    ),
    Case(
        "What availability does Corvid guarantee?", "Corvid guarantees an availability of 99.9 % per calendar year.", 0
    ),
    Case("What credit do I get?", "The customer receives a credit of 10 % of the annual fee.", 0),
    Case(
        "What credit do I get?",
        "If availability falls below 99 %, Corvid receives a credit of 10 % of the monthly fee.",
        0,
    ),
    Case("When is maintenance?", "Planned maintenance takes place on Saturdays between 02:00 and 06:00.", 0),
    Case("When is maintenance?", "Planned maintenance counts as downtime.", 0),
    Case("When does the contract end?", "The contract runs until 31 December 2026.", 0),
    Case("When does the contract end?", "The contract ends automatically and is not renewed.", 0),
    Case("How do I fail over?", "Run promote.sh on the primary.", 0),
    Case("How do I fail over?", "Run promote.sh on the primary, never on the replica.", 0),
    Case("How do I fail over?", "Run demote.sh on the replica.", 0),
    Case("How long does it take?", "A failover usually takes forty minutes.", 0),
    Case("How do I fail over?", "After a failover, stop the write traffic.", 0),
    Case("Whom do I tell?", "Tell the #security channel and open a ticket with label DB-FAILOVER.", 0),
    Case("Whom do I tell?", "Call the chief executive and the press office at once.", 0),
)

FOURTH = (
    evidence(
        1,
        "Employment",
        "During probation the notice period is two weeks. After probation it is three months.",
        ("Notice",),
    ),
    evidence(2, "Working abroad", "Remote work is allowed only in EU countries, except Spain.", ("Remote work",)),
    evidence(3, "Warranty", "Does the warranty cover water damage? It does not.", ("Questions",)),
    evidence(4, "Badges", "Before 2020 visitors did not have to wear a badge. Now they sign in first.", ("Visitors",)),
    evidence(
        5, "Leave", "Until 2024 employees had 25 days of annual leave. Since 2025 they have 27 days.", ("Annual leave",)
    ),
    evidence(6, "Training", "If the employee fails the exam, the employee repays the fee.", ("Certificates",)),
    evidence(7, "Batteries", "It is a myth that batteries must be stored in a fridge.", ("Storage",)),
)

NOTICE = "How long is the notice period?"

FOURTH_SUPPORTED = (
    Case("How long is the notice period during probation?", "Two weeks.", 1),
    Case(NOTICE, "During probation the notice period is two weeks.", 1),
    Case(NOTICE, "The notice period during probation is two weeks.", 1),
    Case("What if the employee fails the exam?", "The employee repays the fee.", 6),
    Case("Who pays?", "If the employee fails the exam, the employee repays the fee.", 6),
    Case("Who pays?", "The employee repays the fee if the employee fails the exam.", 6),
    Case("How much leave is there?", "Until 2024 employees had 25 days of annual leave.", 5),
    Case("Did visitors wear badges?", "Before 2020 visitors did not have to wear a badge.", 4),
    Case("Where is remote work allowed?", "Remote work is allowed only in EU countries, except Spain.", 2),
    Case("How are batteries stored?", "It is a myth that batteries must be stored in a fridge.", 7),
)

FOURTH_WRONG = (
    Case(NOTICE, "The notice period after probation is two weeks.", 0, "another time"),
    Case("How long is the notice period after probation?", "Two weeks.", 0, "another time, in the question"),
    Case(NOTICE, "The notice period is two weeks.", 0, "time lost"),
    Case("May I work from Spain?", "Remote work from Spain is allowed.", 0, "exception"),
    Case("Is water damage covered?", "The warranty covers water damage.", 0, "a question is no evidence"),
    Case("How are batteries stored?", "Batteries must be stored in a fridge.", 0, "denied"),
    Case("How much leave is there?", "Employees have 25 days of annual leave.", 0, "past"),
    Case("Do visitors wear badges?", "Visitors do not have to wear a badge.", 0, "past"),
    Case("Who pays?", "The employee repays the fee.", 0, "condition lost"),
)

FIFTH = (
    evidence(
        1,
        "Car policy",
        "Company cars may be used privately, unless the lease forbids it. While the pool car is free of charge, "
        "fuel is paid by the driver. After an accident the driver calls the police.",
        ("Cars",),
    ),
    evidence(
        2,
        "Data retention",
        "Call recordings are kept for 30 days after the call. Invoices are kept until the audit is closed. "
        "Employees used to have access to the archive. Log files are deleted every night except during a freeze.",
        ("Retention",),
    ),
    evidence(
        3,
        "Questions and answers",
        "Who signs contracts? The managing director signs contracts above 10,000 EUR. Is lunch free? Lunch is free on "
        "Wednesdays. Can interns park in the yard? No, interns park in the street. How long is the guarantee? "
        "Three years.",
        (),
    ),
    evidence(
        4,
        "Bonus",
        "A bonus is paid when the yearly target is reached. The bonus is paid in March. It is not true that trainees "
        "receive a bonus. Managers decide whether overtime is paid out.",
        ("Pay",),
    ),
    evidence(
        5,
        "Homeoffice",
        "Während der Probezeit ist Homeoffice nicht möglich. Nach der Probezeit sind zwei Tage pro Woche erlaubt. "
        "Wenn ein Notfall vorliegt, entscheidet die Teamleitung. Haustiere sind erlaubt, außer im Labor.",
        ("Regeln",),
    ),
    evidence(
        6,
        "Laboratory",
        "The laboratory can be entered only with safety goggles. Before entering the clean room, put on overshoes. "
        "If you spill acid:\n- Open the windows.\n- Leave the building.\n\nSince the renovation the showers are on "
        "floor two.",
        ("Safety",),
    ),
    evidence(
        7,
        "Loans",
        "Under the old rules loans were interest-free. Previously a guarantor was required. Loans are granted for "
        "24 months provided that the salary is paid to the same bank.",
        ("Credit",),
    ),
)

FIFTH_SUPPORTED = (
    Case("May I use the car privately?", "Company cars may be used privately unless the lease forbids it.", 1),
    Case("Whom do I call after an accident?", "The driver calls the police.", 1),
    Case("Whom do I call?", "The driver calls the police after an accident.", 1),
    Case("How long are call recordings kept?", "Call recordings are kept for 30 days.", 2),
    Case("How long are call recordings kept?", "Call recordings are kept for 30 days after the call.", 2),
    Case("How long are invoices kept?", "Invoices are kept until the audit is closed.", 2),
    Case("When are logs deleted?", "Log files are deleted every night, except during a freeze.", 2),
    Case("Who signs contracts?", "The managing director signs contracts above 10,000 EUR.", 3),
    Case("Is lunch free?", "Lunch is free on Wednesdays.", 3),
    Case("Can interns park in the yard?", "No, interns park in the street.", 3),
    Case("How long is the guarantee?", "The guarantee is three years.", 3),
    Case("When is a bonus paid?", "A bonus is paid if the yearly target is reached.", 4),
    Case("What happens when I reach the yearly target?", "A bonus is paid.", 4),
    Case("When is the bonus paid?", "The bonus is paid in March.", 4),
    Case("Ist Homeoffice möglich?", "Während der Probezeit ist Homeoffice nicht möglich.", 5),
    Case("Wie viele Tage nach der Probezeit?", "Zwei Tage pro Woche sind erlaubt.", 5),
    Case("Sind Haustiere erlaubt?", "Haustiere sind erlaubt, außer im Labor.", 5),
    Case("Wer entscheidet, wenn ein Notfall vorliegt?", "Die Teamleitung entscheidet.", 5),
    Case("What do I need in the laboratory?", "The laboratory can be entered with safety goggles.", 6),
    Case("What do I do before entering the clean room?", "Put on overshoes.", 6),
    Case("What do I do if I spill acid?", "Open the windows.", 6),
    Case("Where are the showers?", "The showers are on floor two.", 6),
    Case("Was there a guarantor?", "Previously a guarantor was required.", 7),
    Case("How long do loans last?", "Loans are granted for 24 months if the salary is paid to the same bank.", 7),
)

FIFTH_WRONG = (
    Case("May I use the car privately?", "Company cars may be used privately.", 0, "unless"),
    Case("May I use the car privately?", "Company cars may be used privately if the lease forbids it.", 0, "if"),
    Case("Whom do I call?", "The driver calls the police.", 0, "after"),
    Case("Whom do I call?", "The driver calls the police before an accident.", 0, "before"),
    Case("How long are call recordings kept?", "Call recordings are kept for 30 days before the call.", 0, "before"),
    Case("How long are invoices kept?", "Invoices are kept after the audit is closed.", 0, "after"),
    Case("Are invoices kept?", "Invoices are kept.", 0, "until"),
    Case("Who reads the archive?", "Employees have access to the archive.", 0, "used to"),
    Case("When are logs deleted?", "Log files are deleted every night during a freeze.", 0, "except"),
    Case("When are logs deleted?", "Log files are deleted every night.", 0, "except"),
    Case("May interns park?", "Interns can park in the yard.", 0, "question"),
    Case("Is lunch free?", "Lunch is free.", 0, "only repeats"),
    Case("Do I get a bonus?", "A bonus is paid unless the yearly target is reached.", 0, "unless"),
    Case("Do trainees receive a bonus?", "Trainees receive a bonus.", 0, "denied"),
    Case("Is overtime paid out?", "Overtime is paid out.", 0, "open"),
    Case("Ist Homeoffice möglich?", "Nach der Probezeit ist Homeoffice nicht möglich.", 0, "nach"),
    Case("Wie viele Tage?", "Während der Probezeit sind zwei Tage pro Woche erlaubt.", 0, "während"),
    Case("Wie viele Tage während der Probezeit?", "Zwei Tage pro Woche sind erlaubt.", 0, "während"),
    Case("Sind Haustiere erlaubt?", "Haustiere sind im Labor erlaubt.", 0, "außer"),
    Case("Wer entscheidet?", "Die Teamleitung entscheidet.", 0, "wenn"),
    Case("May I enter the laboratory?", "The laboratory can be entered.", 0, "only"),
    Case("When do I put on overshoes?", "After entering the clean room, put on overshoes.", 0, "after"),
    Case("What do I do at work?", "Open the windows.", 0, "if in the lead-in"),
    Case("Where are the showers?", "Until the renovation the showers are on floor two.", 0, "until"),
    Case("Is a guarantor required?", "A guarantor is required.", 0, "previously"),
    Case("How long do loans last?", "Loans are granted for 24 months.", 0, "provided"),
    Case("Do loans cost interest?", "Loans are interest-free.", 0, "old rules"),
)

SIXTH = (
    evidence(
        1,
        "Loyalty programme",
        "Members earn points on every order, except on gift cards. Points expire if the account is inactive for a "
        "year. When an order is returned, the points are withdrawn. Until the end of 2023 points could be sold.",
        ("Points",),
    ),
    evidence(
        2,
        "Building",
        "The gate is locked after 20:00. Is the gym open to guests? Guests use the gym with a day pass. The lift "
        "must not be used during a fire alarm. Unless you are on call, phones stay outside the vault.",
        ("House rules",),
    ),
    evidence(
        3,
        "Pension",
        "Employees join the pension scheme after six months of service. Before retirement, employees may withdraw "
        "up to 10 % of their savings. The rumour that the scheme closes is wrong. The employer formerly paid 3 %; "
        "it now pays 5 %.",
        ("Scheme",),
    ),
    evidence(
        4,
        "Shipping",
        "Orders are delivered on Saturdays only in Vienna. If you order before noon, the parcel leaves the same "
        "day. Does Corvid ship to Norway or Iceland? It ships to Iceland. Express delivery is available since the "
        "merger with Roth AG.",
        ("Delivery",),
    ),
    evidence(
        5,
        "Congés",
        "Pendant la période d'essai, le télétravail est interdit. Après la période d'essai, le télétravail est "
        "possible deux jours par semaine. Les animaux sont admis, sauf dans la cantine.",
        ("Règles",),
    ),
)

SIXTH_SUPPORTED = (
    Case("How do I earn points?", "Members earn points on every order except on gift cards.", 1),
    Case("What happens to the points when I return an order?", "The points are withdrawn.", 1),
    Case("When do points expire?", "Points expire when the account is inactive for a year.", 1),
    Case("When do points expire?", "If the account is inactive for a year, points expire.", 1),
    Case("When is the gate locked?", "The gate is locked after 8 pm.", 2),
    Case("Can guests use the gym?", "Yes, guests use the gym with a day pass.", 2),
    Case("May I use the lift during a fire alarm?", "No, the lift must not be used.", 2),
    Case("When do I join the pension scheme?", "Employees join the pension scheme after six months of service.", 3),
    Case("When do I join the pension scheme?", "After 6 months of service.", 3),
    Case("May I withdraw savings before retirement?", "Employees may withdraw up to 10 % of their savings.", 3),
    Case("When does my parcel leave?", "If you order before noon, your parcel leaves the same day.", 4),
    Case("Does it leave today if I order before noon?", "Yes, the parcel leaves the same day.", 4),
    Case("Is there express delivery?", "Express delivery is available.", 4),
    Case("Le télétravail est-il possible après la période d'essai?", "Le télétravail est possible deux jours.", 5),
)

SIXTH_WRONG = (
    Case("How do I earn points?", "Members earn points on gift cards.", 0),
    Case("How do I earn points?", "Members earn points on every order.", 0),
    Case("When do points expire?", "Points expire unless the account is inactive for a year.", 0),
    Case("Is my account inactive?", "The account is inactive for a year.", 0),
    Case("What happens to points?", "The points are withdrawn.", 0),
    Case("May I sell points?", "Points can be sold.", 0),
    Case("When is the gate locked?", "The gate is locked before 20:00.", 0),
    Case("Is the gate locked?", "The gate is locked.", 0),
    Case("May I use the lift?", "The lift must not be used.", 0),
    Case("Is the gym open?", "The gym is open to guests.", 0),
    Case("Where do phones stay?", "Phones stay outside the vault if you are on call.", 0),
    Case("Where do phones stay?", "Phones stay outside the vault.", 0),
    Case("May I withdraw savings?", "After retirement, employees may withdraw up to 10 % of their savings.", 0),
    Case("May I withdraw savings after retirement?", "Employees may withdraw up to 10 % of their savings.", 0),
    Case("Does the scheme close?", "The scheme closes.", 0),
    Case("What does the employer pay?", "The employer pays 3 %.", 0),
    Case("When do I join the pension scheme?", "Employees join the pension scheme.", 0),
    Case("When are orders delivered?", "Orders are delivered on Saturdays.", 0),
    Case("When does my parcel leave?", "The parcel leaves the same day.", 0),
    Case("Does Corvid ship to Norway?", "Corvid ships to Norway.", 0),
    Case("Le télétravail est-il possible?", "Pendant la période d'essai, le télétravail est possible.", 0),
    Case("Les animaux sont-ils admis?", "Les animaux sont admis dans la cantine.", 0),
    Case("Les animaux sont-ils admis?", "Les animaux sont admis.", 0),
)

# Each with the one passage it is judged by.
ALONE = (
    ("Employees may work abroad, if the manager agrees.", Case("May I work abroad?", "Employees may work abroad.", 0)),
    (
        "You can request a refund within 30 days after delivery.",
        Case("How long do I have?", "You can request a refund within 30 days.", 1),
    ),
    (
        "You can request a refund within 30 days after delivery.",
        Case("How long do I have?", "You can request a refund within 30 days of delivery.", 1),
    ),
    (
        "You can request a refund within 30 days after delivery.",
        Case("How long do I have?", "You can request a refund within 30 days before delivery.", 0),
    ),
    (
        "If you lose your badge, call security at once.",
        Case("I lost my badge. What do I do?", "Call security at once.", 1),
    ),
    (
        "If you lose your badge, call security at once.",
        Case("What do I do if I lose my badge?", "You should call security at once.", 1),
    ),
    (
        "When the alarm sounds, leave the building.",
        Case("What should I do when the alarm sounds?", "Leave the building.", 1),
    ),
    ("When the alarm sounds, leave the building.", Case("What should I do at work?", "Leave the building.", 0)),
    (
        "Some customers believe that returns are free of charge.",
        Case("Are returns free?", "Returns are free of charge.", 0),
    ),
    ("The board proposed that bonuses are doubled.", Case("Are bonuses doubled?", "Bonuses are doubled.", 0)),
    (
        "The works council rejected the proposal to cut lunch breaks.",
        Case("Are lunch breaks cut?", "Lunch breaks are cut.", 0),
    ),
    ("It is not the case that parking is free.", Case("Is parking free?", "Parking is free.", 0)),
    ("Contrary to what many think, overtime is not paid.", Case("Is overtime paid?", "Overtime is paid.", 0)),
    ("Contrary to what many think, overtime is not paid.", Case("Is overtime paid?", "Overtime is not paid.", 1)),
    ("Apart from interns, all staff receive a phone.", Case("Who receives a phone?", "Interns receive a phone.", 0)),
    ("All staff other than interns receive a phone.", Case("Who receives a phone?", "Interns receive a phone.", 0)),
    ("All staff other than interns receive a phone.", Case("Who receives a phone?", "All staff receive a phone.", 0)),
    (
        "With the exception of interns, all staff receive a phone.",
        Case("Who receives a phone?", "All staff receive a phone.", 0),
    ),
    ("Access is granted once the training is completed.", Case("When is access granted?", "Access is granted.", 0)),
    (
        "Access is granted once the training is completed.",
        Case("When is access granted?", "Access is granted once the training is completed.", 1),
    ),
    (
        "Access is granted once the training is completed.",
        Case("When is access granted?", "Access is granted after the training is completed.", 1),
    ),
    (
        "While on parental leave, employees keep their laptop.",
        Case("What about laptops?", "Employees keep their laptop.", 0),
    ),
    ("From 2027 employees have 30 days of leave.", Case("How much leave?", "Employees have 30 days of leave.", 0)),
    (
        "For managers, the notice period is six months.",
        Case("How long is the notice period?", "The notice period is six months.", 0),
    ),
    ("Employees had 20 days of leave in 2019.", Case("How much leave?", "Employees have 20 days of leave.", 0)),
    (
        "The fee would be refunded if the course were cancelled.",
        Case("Is the fee refunded?", "The fee is refunded.", 0),
    ),
    ("Are pets allowed? Yes, pets are allowed.", Case("Are pets allowed?", "Pets are allowed.", 1)),
    ("Are pets allowed? Yes.", Case("Are pets allowed?", "Pets are allowed.", 0)),
    (
        "How long does approval take? It takes three days.",
        Case("How long does approval take?", "Approval takes three days.", 1),
    ),
    ("How long does approval take? It takes three days.", Case("How long does approval take?", "Three days.", 1)),
    (
        "What does the insurance cover? It covers theft and fire.",
        Case("What does the insurance cover?", "The insurance covers theft and fire.", 1),
    ),
    (
        "What does the insurance cover? It covers theft and fire.",
        Case("What does the insurance cover?", "The insurance covers water.", 0),
    ),
    (
        "During the trial, support is free. After the trial, support costs 10 EUR a month.",
        Case("What does support cost?", "During the trial, support costs 10 EUR a month.", 0),
    ),
    (
        "During the trial, support is free. After the trial, support costs 10 EUR a month.",
        Case("What does support cost after the trial?", "Support costs 10 EUR a month.", 1),
    ),
    (
        "Submit the form before you travel. It must be signed by the team lead.",
        Case("What about the form?", "The form must be signed by the team lead.", 1),
    ),
    ("Since 2025 employees have 27 days of leave.", Case("How much leave?", "Employees have 27 days of leave.", 1)),
    ("Employees may use the gym only after 18:00.", Case("When may I use the gym?", "Employees may use the gym.", 0)),
    (
        "Employees may use the gym only after 18:00.",
        Case("When may I use the gym?", "Employees may use the gym after 6 pm.", 1),
    ),
    (
        "The lab opens at 9:00 and closes at 17:00 unless a fault occurs.",
        Case("When does the lab open?", "The lab opens at 9:00.", 1),
    ),
    (
        "Customers who pay by invoice receive a discount of 3 %.",
        Case("Do customers receive a discount?", "Customers receive a discount of 3 %.", 0),
    ),
    (
        "Cards used to pay abroad incur a fee of 2 %.",
        Case("What fee is there?", "Cards used to pay abroad incur a fee of 2 %.", 1),
    ),
    ("In case of illness, call your team lead.", Case("Whom do I call?", "Call your team lead.", 0)),
    ("In case of illness, call your team lead.", Case("Whom do I call in case of illness?", "Call your team lead.", 1)),
    ("Bei Krankheit rufen Sie die Teamleitung an.", Case("Wen rufe ich an?", "Rufen Sie die Teamleitung an.", 0)),
    (
        "Visitors who park in the yard need a permit.",
        Case("Who needs a permit?", "Visitors who park in the yard need a permit.", 1),
    ),
    (
        "Visitors who park in the yard need a permit.",
        Case("I am a visitor. Do I need a permit?", "Visitors need a permit.", 0),
    ),
    (
        "The company was founded in 2019 by Ada Roth.",
        Case("Who founded the company?", "The company was founded by Ada Roth.", 1),
    ),
    (
        "The company was founded in 2019 by Ada Roth.",
        Case("When was it founded?", "The company was founded in 2019.", 1),
    ),
    ("For managers, the limit is 500 EUR.", Case("What is the limit for managers?", "The limit is 500 EUR.", 1)),
    ("For managers, the limit is 500 EUR.", Case("What is the limit?", "The limit for managers is 500 EUR.", 1)),
    ("For security reasons, laptops are encrypted.", Case("Are laptops encrypted?", "Laptops are encrypted.", 1)),
    ("From 1 March 2026 the rate is 3 %.", Case("What is the rate?", "From 1 March 2026 the rate is 3 %.", 1)),
    ("From 1 March 2026 the rate is 3 %.", Case("What is the rate?", "Until 1 March 2026 the rate is 3 %.", 0)),
    ("From 1 March 2026 the rate is 3 %.", Case("What is the rate from March 2026?", "The rate is 3 %.", 1)),
    (
        "The office is open from 9:00 to 17:00.",
        Case("When is the office open?", "The office is open from 9 am to 5 pm.", 1),
    ),
    (
        "If a shipment is damaged, the carrier is liable. Claims are sent to Roth AG.",
        Case("Where are claims sent?", "Claims are sent to Roth AG.", 1),
    ),
    ("If a shipment is damaged, the carrier is liable.", Case("Who is liable?", "A shipment is damaged.", 0)),
    (
        "Passwords are reset after five failed attempts.",
        Case("When are passwords reset?", "Passwords are reset after 5 failed attempts.", 1),
    ),
    ("Passwords are reset after five failed attempts.", Case("When are passwords reset?", "Passwords are reset.", 0)),
    (
        "Use this form only if the portal is down.",
        Case("When do I use this form?", "Use this form if the portal is down.", 1),
    ),
    ("Use this form only if the portal is down.", Case("Which form do I use?", "Use this form.", 0)),
    (
        "Doors close automatically during the night.",
        Case("When do doors close?", "Doors close automatically at night.", 1),
    ),
    (
        "Managers approve travel. Directors approve travel above 5000 EUR, unless the board decides.",
        Case("Who approves travel?", "Managers approve travel.", 1),
    ),
    (
        "Do not open the valve until the pressure drops.",
        Case("When do I open the valve?", "Do not open the valve until the pressure drops.", 1),
    ),
    (
        "Do not open the valve until the pressure drops.",
        Case("May I open the valve?", "Open the valve until the pressure drops.", 0),
    ),
    (
        "Employees get a bonus as long as the company makes a profit.",
        Case("Is there a bonus?", "Employees get a bonus.", 0),
    ),
    (
        "Die Frist beträgt bis Ende 2025 zwei Wochen.",
        Case("Wie lang ist die Frist?", "Die Frist beträgt zwei Wochen.", 0),
    ),
    (
        "Nach Eingang der Zahlung wird die Ware verschickt.",
        Case("Wann wird die Ware verschickt?", "Die Ware wird nach Eingang der Zahlung verschickt.", 1),
    ),
    (
        "Sofern der Kunde zustimmt, wird die Rechnung per E-Mail verschickt.",
        Case("Wie kommt die Rechnung?", "Die Rechnung wird per E-Mail verschickt.", 0),
    ),
    (
        "Since the office has no parking, employees use the train.",
        Case("How do employees travel?", "Employees use the train.", 1),
    ),
    ("Bring your passport. Without it, entry is refused.", Case("What do I bring?", "Bring your passport.", 1)),
    (
        "There is no obligation to work overtime.",
        Case("Must I work overtime?", "There is an obligation to work overtime.", 0),
    ),
    (
        "Support tickets are answered within one hour when they are marked urgent.",
        Case("How fast are tickets answered?", "Support tickets are answered within one hour.", 0),
    ),
)

# What the check still gets wrong: support that is missed (1), and support for what is false (0).
ALONE_MISJUDGED = (
    ("The plan is to open an office in Lyon.", Case("Is there an office in Lyon?", "There is an office in Lyon.", 0)),
    (
        "In the first year employees have 20 days of leave.",
        Case("How much leave?", "Employees have 20 days of leave.", 0),
    ),
    (
        "During the trial, support is free. After the trial, it costs 10 EUR a month.",
        Case("What does support cost after the trial?", "After the trial, support costs 10 EUR a month.", 1),
    ),
    ("The report is due before 5 May 2026.", Case("When is the report due?", "The report is due by 5 May 2026.", 1)),
    (
        "Support tickets are answered within one hour when they are marked urgent.",
        Case("How fast are urgent tickets answered?", "Urgent support tickets are answered within one hour.", 1),
    ),
)
