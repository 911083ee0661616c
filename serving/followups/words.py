"""The words the follow-up rule knows by themselves: what points back, what holds a question together. English."""

from serving.claims.lexicon import DETERMINERS, LIGHT, PREPOSITIONS, STOP, word_set

DOING = word_set("do does did")
SUBJECTS = word_set("i you we they")
PERSONS = word_set("he him his himself she her hers herself")
THINGS = word_set("it its itself they them their theirs themselves")
POINTING = PERSONS | THINGS
POSSESSIVE = word_set("its their his theirs hers")
DEICTIC = word_set("this that these those")
PLURAL = word_set("they them their theirs themselves these those")
STANDING_FOR = word_set("one ones former latter same others another such else")

AUXILIARIES = word_set(
    """is are was were be been being am do does did done has have had can could will would shall should may might
    must isn't aren't wasn't weren't don't doesn't didn't hasn't haven't hadn't can't couldn't won't wouldn't
    shouldn't"""
)
ASKING = word_set("what who whom whose which when where why how what's who's where's how's whats")
OWNING = DETERMINERS | POSSESSIVE
GREETING = word_set("hi hello hey thanks thank bye cheers")
OPENING = word_set("and but or so also then ok okay yes no well now please")
INTRODUCING = word_set(
    """what who whats is are was were a an the tell me more about please can you could explain describe define in
    some i want to know give overview of us let's talk discuss"""
)
JOINING = word_set("and or if when because but so while as since although unless")
SUBORDINATE = word_set("if when because")
REFERRING_AFTER = (
    PREPOSITIONS | AUXILIARIES | word_set("about of like than after before without upon over into why how")
)
EMPTY_BEFORE = word_set(
    """take takes took cost costs possible true necessary safe ok okay legal allowed common normal worth mandatory
    required important hard easy difficult better best good bad fine enough"""
)  # "it" before these and "to", "that", "if" or "for" stands for nothing
FOLLOWING_EMPTY = word_set("to that if for")

# Nouns that are of something: alone they ask about whatever is being talked of.
RELATIONAL = (LIGHT - word_set("order document passage text")) | word_set(
    """type types kind kinds sort sorts form forms example examples cause causes reason reasons effect effects impact
    impacts day days week weeks month months year years hour hours minute minutes euro euros dollar dollars pound
    pounds symptom symptoms sign signs treatment treatments cure risk risks danger dangers benefit benefits advantage
    advantages disadvantage disadvantages pro pros con cons drawback drawbacks side use uses usage purpose purposes
    role roles function functions feature features characteristic characteristics property properties quality origin
    origins history creation founding invention development developments beginning start end future member members
    author authors creator owner leader head founder part parts component components element elements step steps
    process procedure procedures method methods way ways option options alternative alternatives difference
    differences similarity similarities relationship relation comparison cost costs price prices fee fees size weight
    height age date time times place places location name names definition meaning importance significance
    implication implications consequence consequences result results outcome outcomes finding findings evidence
    argument arguments criticism criticisms controversy theme themes detail details fact facts rule rules exception
    exceptions requirement requirements condition conditions limit limits deadline deadlines version versions issue
    issues problem problems challenge challenges solution solutions factor factors application applications source
    sources population capital address number numbers amount level levels percentage rate rates status thing things
    stuff people person anyone anybody someone
    everyone everybody something anything everything everywhere anywhere lot lots bit information info idea ideas tip
    tips advice question questions activity activities case cases term terms word words title point points pros/cons
    layer layers stage stages phase phases model models plan plans"""
)

PEOPLE = word_set("customer customers employee employees user users staff client clients member members people person")
NO_TOPIC = RELATIONAL | PEOPLE  # alone: nothing that a conversation is about

# What a noun phrase does not begin with for our purposes: it says how much or how good, not what.
GENERAL = word_set(
    """main major important key common different various other others several many much more most less least few best
    better worst worse good bad great big bigger biggest large larger largest small smaller smallest high higher
    highest low lower lowest long longer longest short shorter shortest old older oldest new newer newest young
    younger youngest early earlier earliest late later latest first second third last next previous current recent
    modern famous popular well-known notable typical general specific certain particular similar related available
    possible necessary significant interesting favorite favourite right wrong same original traditional further
    additional overall total entire whole actual real true only primary secondary exact exactly really actually
    usually generally often ever always still today now currently recently away instead together alone maybe perhaps
    somewhere else possibly long-term short-term likely able enough difficult easy hard easier harder harmful safe
    dangerous free expensive cheap legal ethical healthy effective useful successful false valid unique worth
    required mandatory relevant red"""
)

VERBS = AUXILIARIES | word_set(
    """accept affect agree allow appear apply close damage arrive ask avoid become begin believe belong break bring
    build buy call cancel care cause change check choose claim come compare compete complete confirm connect consider
    contain continue contribute control cook cost cover create cure cut deal decide define deliver depend describe
    design destroy determine develop die differ discover discuss do draw drink drive earn eat elaborate enable
    encourage end enjoy ensure exist expand expect expire explain explore fail fall feel fight figure file fill find
    finish fit fix fly follow form found gain generate get give go grow handle happen hear help hold identify impact
    implement improve include increase influence inform install integrate introduce invent involve join keep kill
    know land last lead learn leave let like list listen live look lose love lower made make manage mean measure meet
    mention migrate move need notice obtain occur offer open operate order originate own pay perform plan play prefer
    prepare prevent produce protect prove provide publish pull purchase push put raise reach read receive recommend
    reduce refer reflect regulate relate remain remember remove replace report represent require respond return run
    save say see seem sell send serve set share shift show sleep solve speak spend spread stand start stay stop study
    submit succeed suffer suggest support survive take talk teach tell think transfer travel treat try turn
    understand use visit vote wait walk want wash watch win wonder work worry write"""
)
_FINITE = frozenset(f"{verb.removesuffix('e')}{ending}" for verb in VERBS for ending in ("ed", "es")) | frozenset(
    f"{verb}s" for verb in VERBS
)
# Right after another word of a phrase these are rather a part of it: "529 plan", "seafloor spreading".
NOUNS_TOO = word_set(
    """plan plans drink drinks report reports form forms share shares test tests work works play plays vote votes
    walk walks land lands visit visits figure figures file files fit cover covers offer offers set sets show shows
    study studies like finish purchase purchases post notice notices increase increases change changes claim claims
    charge charges leave order orders pay care return returns support release releases request requests access
    contract contracts update updates cancel transfer transfers"""
)
GERUNDS = frozenset(f"{verb.removesuffix('e')}ing" for verb in VERBS)
_PAST = word_set(
    """became began begun brought built bought called came chose chosen come cost died did drew driven ate eaten fell
    felt found fought got gave given went gone grew grown heard held kept knew known led left lost made meant met
    paid ran said saw seen sold sent showed shown spent spoke stood swam taken taught told thought took tried
    understood used won wrote written tell say happened supposed famous"""
)

# Between these, words make up phrases.
BREAKING = (
    STOP | GREETING | DETERMINERS | PREPOSITIONS | ASKING | AUXILIARIES | POINTING | DEICTIC | STANDING_FOR | OPENING
    | VERBS | _FINITE | _PAST
    | word_set("about like around after before versus vs there here besides following please me us i")
)  # fmt: skip
ACTING = VERBS - AUXILIARIES
LINKING = word_set("of the and for de du la von van di")  # hold a name together, as in "Lord of the Rings"
LY_NOUNS = word_set("family supply assembly reply monopoly anomaly ally belly jelly fly bully rally july italy")
TRIMMED = GENERAL | LINKING
