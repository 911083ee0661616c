"""The words the follow-up rule knows by themselves: what points back, what holds a question together. English."""

from serving.claims.lexicon import DETERMINERS, LIGHT, PREPOSITIONS, STOP, word_set

DOING = word_set("do does did don't doesn't didn't can could will would shall should may might must can't won't")
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
FRAGMENTS = word_set("and or but")
# "It" stands for nothing before these and "to", "that" or "if": "how long does it take me to move".
EMPTY_BEFORE = word_set(
    """take takes took cost costs make makes mean possible true necessary safe ok okay legal allowed common normal worth
    mandatory required important hard easy difficult better best good bad fine enough a an the me us you sense idea
    time practice case is be was would so very too"""
)
FOLLOWING_EMPTY = word_set("to that if")

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
    stuff people person anyone anybody someone everyone everybody something anything everything everywhere anywhere
    lot lots bit information info idea ideas tip tips advice question questions activity activities case cases term
    terms word words title point points pros/cons layer layers stage stages phase phases model models plan plans"""
)

PEOPLE = word_set(
    """friend friends kids couple nobody nothing somebody self myself yourself customer
    customers employee employees user users staff client clients member members people person"""
)
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
    required mandatory relevant red sure soon already ago yet yesterday tomorrow tonight morning evening twice once
    half extra due fast faster quick quickly slow broken missing stuck frozen incorrect fine past almost quite pretty
    ahead anymore nowhere abroad online offline back aware unaware unable weird strange random present ready asap
    down up far near close deep rich poor strong weak wide full empty public private simple complex complicated
    direct final initial given unlikely obvious clear happy sad glad afraid alive dead responsible normal abnormal
    proper super just nice cool fun fair"""
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
    understand use visit vote wait walk want wash watch win wonder work worry write abolish access achieve approve
    acquire act activate adapt address adjust administer admit adopt advise afford aim alter amount announce
    apologize appoint appreciate argue arrange assess assign assist assume attach attack attempt attend attract
    authorise authorize award ban base bear beat bind blame block borrow bother burn calculate carry catch celebrate
    classify clean clear climb collect combine comment commit communicate complain compute conduct confuse construct
    consult consume convert convince count cross date decline decrease dedicate defeat defend delete deny deposit
    derive detect devote differentiate diminish disagree disappear dispute distinguish distribute divide donate
    double download edit elect eliminate emerge employ encounter engage enter erase establish estimate evaluate
    evolve examine exceed exclude execute exercise expose express extend face favor feed forget freeze fund govern
    guarantee guess hate hide hire hit hope host hurt ignore imply import impose impress indicate infect inhibit
    initiate inspire intend interact interpret invest investigate invite issue justify lack launch lay lift limit
    link load locate log lock mark marry match mind modify monitor mutate neutralize occupy organize overcome owe
    participate pass pick pollute possess predict preserve press process promote propose proceed prohibit qualify
    question quit range reactivate realise realize recall recognise recognize record recover recycle refuse register
    reject rely remind rent repair replicate reply rescue reset resolve restore restrict result retain retire
    retrieve reveal reverse revert review revise ride ring rise rotate rule satisfy score search secure seek select
    separate settle sing sit sign smoke sound specify split steal stick store strengthen struggle suit suppose swap
    swim switch tackle target taste tend terminate throw topple touch track train translate transmit trigger trust
    unblock unlock undergo upgrade upset vary verify view violate warn wear weigh welcome withdraw withstand yield"""
)
_FINITE = frozenset(f"{verb.removesuffix('e')}{ending}" for verb in VERBS for ending in ("ed", "es")) | frozenset(
    f"{verb}s" for verb in VERBS
)
GERUNDS = frozenset(f"{verb.removesuffix('e')}ing" for verb in VERBS)
_PAST = word_set(
    """became began begun brought built bought called came chose chosen come cost died did drew driven ate eaten fell
    felt found fought got gave given went gone grew grown heard held kept knew known led left lost made meant met
    paid ran said saw seen sold sent showed shown spent spoke stood swam taken taught told thought took tried
    understood used won wrote written tell say happened supposed famous arose awoke beaten bent bet bitten bled blown
    bore born bound broke broken burnt caught clung crept cut dealt drank drawn drove fallen fed fled flew flown
    forgot forgotten forgave froze frozen hid hidden hung hurt laid lain lay lent lit mistaken proven proved ridden
    risen rode rose rung sang sank sewn shaken shone shot shrunk shut sought spun split spread sprang stole stolen
    stuck struck sung sunk swept swore sworn swung thrown threw torn tore undergone underwent upset wept woke woken
    wore worn wound withdrawn withdrew arisen beheld bred"""
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
# Right after another word of a phrase these are rather a part of it: "529 plan", "energy drinks".
NOUNS_TOO = ACTING | word_set(
    """plans drinks reports forms shares tests works plays votes walks lands visits figures files covers offers sets
    shows studies purchases notices increases changes claims charges orders returns releases requests contracts
    updates transfers reviews scores funds dates limits costs"""
)
