"""The words the support check knows by themselves: those that say little, units, numbers, months, negations, opposites.

English, with the German and French words that cost nothing. A word that is missing here is compared by its letters.
"""

import re
from functools import lru_cache


def word_set(text: str) -> frozenset[str]:
    """The words of a space-separated list."""
    return frozenset(text.split())


STOP = word_set(
    """a an the this that these those it its they them their theirs he him his she her hers we us our ours you your
    yours i me my mine who whom whose which what when where why how there here then than so as if of to in
    on at by for from with into onto about over under through via per and or but nor yet because while
    whereas although though since be is are was were been being am do does did done doing have has had
    having will would shall should may might can could must ought let s t d ll re ve m also too very just
    only own same such both each every all any some few more most other another not no never none without
    neither cannot up down out off again once between among during before after above below until till
    within upon yes ok okay please however therefore thus hence furthermore moreover additionally whether
    either one ones etc further at least der die das den dem des ein eine einen einem einer eines und oder
    aber ist sind war waren sein wird werden wurde kann können muss müssen darf dürfen soll sollen hat haben
    nicht kein keine keinen keinem keiner nie ohne in im an am auf aus bei beim mit nach von vom zu zum zur
    für durch über unter um wie als auch nur noch es er sie wir ihr le la les un une des du de et ou mais
    est sont être été a ont avoir peut peuvent doit doivent ne pas jamais aucun aucune sans dans en sur avec
    pour par au aux ce cette ces il elle ils elles nous vous qui que dont"""
)

# Verbs and nouns that mostly hold other words together: a paraphrase may exchange them.
LIGHT = word_set(
    """ask request get receive give provide make take use obtain offer state say mention accord accordingly
    describe specify define include need want allow permit require apply passage document text source
    context information provided question answer follow example note ensure mean case order able begin start
    end come go show list deadline limit period time amount number process rule duration length person way
    total value"""
)

PREPOSITIONS = word_set("by from to with in at for on via through into under von durch mit bei an auf par avec chez")
DETERMINERS = word_set(
    "the a an your our their his her its this that these those der die das den dem ein eine einen le la les un une"
)
VERBS = word_set(
    """is are was were has have had may can must shall should will would could do does did cannot gets get costs
    cost takes take needs need ist sind hat haben darf kann muss wird gilt gelten est sont ont peut doit"""
)
BEING = word_set("is are was were be been being get gets ist sind wird werden wurde est sont")
REFERRING = word_set(
    """they them their this that these those it its he she his her such there then otherwise however both also
    additionally sie diese dieser dieses es dabei dann ils elles cela cette ces"""
)
CONJUNCTIONS = word_set(
    "and or but while whereas because unless if when where which who so although und oder aber weil wenn et ou mais si"
)

NEGATIONS = word_set(
    """not no never none nobody nothing neither nor cannot nicht kein keine keinen keinem keiner keines nie niemals
    pas jamais aucun aucune"""
)
LACKING = word_set("without ohne sans")
NEGATING_VERDICTS = word_set(
    """prohibited forbidden banned disallowed excluded ineligible unavailable denied rejected refused verboten
    untersagt ausgeschlossen interdit exclu"""
)
NEGATION_SCOPE = 5
NOT_A_NEGATION = re.compile(
    r"\b(?:not only|not just|no matter|whether or not|if not|(?:no|not) (?:later|more|less|fewer|longer than|earlier)"
    r"(?: than)?|not (?:to )?exceed\w*|nicht nur|nicht mehr als)\b|^(?:no|nein|non)(?=[,.!])",
    re.IGNORECASE,
)

OBLIGED = word_set("must shall required requires require mandatory obligatory compulsory muss müssen doit doivent")
PERMITTED = word_set("may can could optional optionally voluntary voluntarily allowed permitted kann können darf peut")
MERELY_PERMITTED = word_set("may optional optionally voluntary voluntarily")
OVERCLAIMS = word_set("only exclusively always solely nur immer uniquement toujours")


def _table(text: str) -> dict[str, str]:
    """From lines `meaning: word word …` to a meaning for each word."""
    lines = (line.partition(":") for line in text.split("\n") if line.strip())
    return {word: meaning.strip() for meaning, _, words in lines for word in words.split()}


MONTHS = {
    word: int(number)
    for word, number in _table("""
        1: january jan januar janvier
        2: february feb februar février
        3: march mar märz mars
        4: april apr avril
        5: may mai
        6: june jun juni juin
        7: july jul juli juillet
        8: august aug août
        9: september sep sept septembre
        10: october oct oktober okt octobre
        11: november nov novembre
        12: december dec dezember dez décembre
    """).items()
}
NUMBER_WORDS = _table("""
    2: two zwei deux
    3: three drei trois
    4: four vier quatre
    5: five fünf cinq
    6: six sechs
    7: seven sieben sept
    8: eight acht huit
    9: nine neun neuf
    10: ten zehn dix
    11: eleven elf onze
    12: twelve zwölf douze
    14: fourteen vierzehn quatorze
    15: fifteen
    18: eighteen
    20: twenty zwanzig vingt
    24: twenty-four
    28: twenty-eight
    30: thirty dreißig trente
    40: forty
    45: forty-five
    48: forty-eight
    50: fifty
    60: sixty sechzig soixante
    72: seventy-two
    90: ninety neunzig
    100: hundred
""")
MULTIPLIERS = {
    word: int(times)
    for word, times in _table("""
        1000: k thousand tausend mille
        1000000: million millions mio millionen
        1000000000: billion bn milliarden
    """).items()
}
UNITS = _table("""
    second: s sec secs second seconds sekunde sekunden
    ms: ms millisecond milliseconds
    minute: min mins minute minutes minuten
    hour: h hr hrs hour hours stunde stunden heure heures
    day: day days tag tage tagen jour jours
    workday: workday workdays werktag werktage werktagen arbeitstage
    week: week weeks woche wochen semaine semaines
    month: month months monat monate monaten mois
    quarter: quarter quarters quartal quartale
    year: year years yr yrs jahr jahre jahren an ans année années
    %: % percent prozent pct
    usd: $ us$ usd dollar dollars
    eur: \u20ac eur euro euros
    gbp: \u00a3 gbp pound pounds
    chf: chf franken
    kb: kb kib
    mb: mb mib
    gb: gb gib
    tb: tb tib
    km: km kilometre kilometres kilometer kilometers
    mile: mile miles
    m: m metre metres
    cm: cm
    mm: mm
    kg: kg kilogram kilograms
    g: g gram grams
    \u00b0c: \u00b0c
    \u00b0f: \u00b0f
""")

_CONTRASTS = """
hourly daily weekly fortnightly monthly quarterly annual annually yearly | monday tuesday wednesday thursday friday
saturday sunday | morning afternoon evening night | january february march april june july august september october
november december | before after | increase decrease | rise fall | allow prohibit | allow forbid | permit prohibit |
permit forbid | allowed prohibited | allowed forbidden | permitted prohibited | permitted forbidden | accept reject
| accept refuse | enable disable | include exclude | internal external | minimum maximum | first last | open close |
always never | required optional | mandatory optional | mandatory voluntary | higher lower | more less | more fewer
| above below | public private | public confidential | incoming outgoing | buy sell | employee contractor | employee
customer | all some | every some | north south east west | paid free | manual automatic | manually automatically |
full partial | full-time part-time | start end | add remove | encrypted plain | success failure | upload download |
approve reject | approve deny | grant deny | grant revoke | inside outside | red green blue yellow orange | early
late | gross net | domestic international | temporary permanent | old new | older newer | left right | personal
corporate | keep delete | store delete | retain delete | grant revoke | create delete | receive lose | get lose |
second minute hour day week month quarter year | montag dienstag mittwoch donnerstag freitag samstag sonntag | vor
nach | innerhalb außerhalb | avant après
"""

_NEGATING_PREFIXES = ("un", "in", "im", "ir", "non", "dis")


_IRREGULAR = _table("""
    pay: paid
    send: sent
    keep: kept
    hold: held
    make: made
    give: gave given
    take: took taken
    get: got gotten
    buy: bought
    sell: sold
    write: wrote written
    begin: began begun
    choose: chose chosen
    leave: left
    lose: lost
    meet: met
    run: ran
    speak: spoke spoken
    person: people
    child: children
""")


@lru_cache(maxsize=1 << 15)
def stem(word: str) -> str:
    """A case-folded word without its commonest English endings; consistent rather than right."""
    word = word.removesuffix("'s").removesuffix("\u2019s")
    word = _IRREGULAR.get(word, word)
    if len(word) <= 3:
        return word
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("s", "")):
        if word.endswith(ending) and not word.endswith(("ss", "us", "is")):
            word = word.removesuffix(ending) + instead
            break
    for ending in ("ingly", "edly", "ably", "able", "ible", "ment", "ation", "ion", "ing", "ed", "al", "ly"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return _evened(word.removesuffix(ending))
    return _evened(word)


def _evened(word: str) -> str:
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz":
        word = word[:-1]
    return word.removesuffix("e") if len(word) > 3 else word


@lru_cache(maxsize=1 << 15)
def term(word: str) -> str:
    """The stem of a case-folded word, or "" for one that says nothing by itself."""
    return "" if word in STOP or word.endswith(("n't", "n\u2019t")) else stem(word)


LIGHT_STEMS = frozenset(map(stem, LIGHT))


def _contrasts() -> dict[str, frozenset[str]]:
    opposites: dict[str, set[str]] = {}
    for group in _CONTRASTS.split("|"):
        stems = {stem(word) for word in group.split()}
        for one in stems:
            opposites.setdefault(one, set()).update(stems - {one})
    return {one: frozenset(others) for one, others in opposites.items()}


CONTRASTS = _contrasts()


def opposites(word: str) -> frozenset[str]:
    """Stems that a text cannot hold in place of the stem `word` and still say the same."""
    made = {prefix + word for prefix in _NEGATING_PREFIXES}
    undone = {word.removeprefix(prefix) for prefix in _NEGATING_PREFIXES if word.startswith(prefix) and len(word) > 5}
    return CONTRASTS.get(word, frozenset()) | made | undone
