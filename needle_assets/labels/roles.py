"""Whether a biography's person is a sportsperson or a politician, by the role the text gives them.

A role is the head of what the person is said to be, or an office or contest the person is the
subject of; a word elsewhere ("son of a politician", "sports agent") is none.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from needle_assets.labels.lead import Lead, words

CLAUSE = words("who whose whom which that where when while because although though")
"""Words that end a noun phrase and open a clause."""

BOUNDARY = CLAUSE | words(
    """of for from in at with by on to under into as during since until between within against
    among around near about through throughout before after over off based born best known
    having currently formerly presently primarily mainly active signed playing competing
    representing serving working living residing specializing specialising operating appearing
    turned who's he she it they his her"""
)
"""Words that end the core of a noun phrase: "professional footballer | for ..."."""

GROUP_BOUNDARY = BOUNDARY - words("best known")
"""The same after "one of the": there "best known" describes the role that follows."""

_PREPOSITIONS = words("of for from in at with by on to under into as during")

_JOINTS = frozenset([".", ",", "and", "&", "/", ";", "or", "--", "-", "but", "then", ":"])

_KIN = words(
    """son daughter wife husband brother sister father mother widow widower grandson granddaughter
    nephew niece cousin partner friend descendant grandfather grandmother uncle aunt lady bride
    half-brother half-sister twin child stepson stepdaughter heir spouse biographer consort"""
)


class Phrase(NamedTuple):
    """One thing the person is: "former prime minister | of the netherlands"."""

    core: list[str]
    tail: list[str]


class Roles(NamedTuple):
    """What a text says the person is or was."""

    sportsperson: bool
    politician: bool


_CLOSE = 5
"""How many further sentences about the person are read."""

_SPORT = words(
    """football soccer futsal rugby cricket tennis basketball baseball softball volleyball handball
    hockey lacrosse polo golf badminton squash snooker darts curling hurling camogie netball
    kabaddi bandy floorball korfball shinty athletics gymnastics swimming boxing wrestling judo
    karate taekwondo fencing archery shooting rowing canoeing sailing cycling skiing skating
    snowboarding biathlon triathlon pentathlon racing motorsport motorcycle speedway rally
    motocross equestrian bobsleigh luge skeleton surfing bowling weightlifting powerlifting
    bodybuilding mma ufc kickboxing heavyweight middleweight welterweight lightweight
    featherweight bantamweight flyweight cruiserweight racquetball billiards chess draughts
    track sumo mixed martial sprint"""
)

_SPORT_HEADS = words(
    """footballer handballer basketballer volleyballer netballer softballer cricketer cyclist
    swimmer sprinter hurdler boxer kickboxer wrestler golfer fencer gymnast rower sculler
    canoeist canoer coxswain kayaker kayakist archer judoka karateka taekwondoka biathlete
    triathlete decathlete heptathlete pentathlete duathlete paratriathlete athlete para-athlete
    sportsman sportswoman sportsperson olympian paralympian skier snowboarder skater speedskater
    surfer windsurfer kitesurfer wakeboarder skateboarder bodybuilder powerlifter weightlifter
    curler luger bobsledder bobsleigher diver hurler jockey equestrian equestrienne eventer
    showjumper racer rider goalkeeper goaltender goalie netminder defender midfielder striker
    forward winger attacker sweeper centre-back center-back full-back fullback left-back
    right-back wing-back half-back halfback centre-half half-forward centre-forward full-forward
    defenceman defenseman left-winger right-winger playmaker libero quarterback linebacker
    cornerback lineman placekicker punter kicker tailback nose-tackle pitcher catcher shortstop
    outfielder infielder baseman fielder batsman batter batswoman bowler all-rounder allrounder
    wicketkeeper wicket-keeper wicketkeeper-batsman ruckman rover flanker fly-half scrum-half
    scrumhalf hooker loosehead lock prop back-row five-eighth high-jumper jumper vaulter thrower
    putter shot-putter runner marathoner ultramarathoner racewalker walker orienteer
    steeplechaser strongman strongwoman aikidoka sumotori rikishi yokozuna yachtsman yachtswoman
    oarsman oarswoman cueist freediver player-coach player-manager pole-vaulter trampolinist
    grandmaster skipper markswoman bullfighter torero bmxer fighter racewoman"""
)

# A head that names a sportsperson only after certain words.
_SPORT_PAIRS = {
    "driver": words(
        """racing race rally car stock nascar formula kart karting truck motor touring indycar drag
    sprint grand-prix motorsport motorsports speedway rallycross off-road harness monster drift
    auto gp2 indy dirt endurance v8 supercar sportscar monoposto bobsleigh one works"""
    ),
    "artist": frozenset(["martial"]),
    "dancer": frozenset(["ice"]),
    "back": words("running defensive full left right half centre center wing utility"),
    "end": frozenset(["tight", "defensive", "split"]),
    "receiver": frozenset(["wide"]),
    "tackle": words("offensive defensive left right nose"),
    "guard": _SPORT | words("point shooting offensive left right combo nose"),
    "setter": _SPORT,
    "blocker": _SPORT,
    "pocket": _SPORT,
    "eight": _SPORT,
    "stand-off": _SPORT,
    "second-row": _SPORT,
    "mountaineer": frozenset(["ski"]),
    "climber": words("rock sport ice lead competition boulder free"),
    "center": frozenset(["basketball", "hockey", "football", "offensive", "nba"]),
    "centre": frozenset(["basketball", "hockey", "rugby", "league", "union", "hockey"]),
    "safety": frozenset(["football", "free", "strong", "nfl"]),
    "keeper": frozenset(["wicket", "goal"]),
    "biker": words("mountain downhill bmx enduro"),
    "wing": words("rugby league union left right hockey"),
    "half": words("fly scrum centre wing left right stand-off"),
    "row": frozenset(["second", "back", "front"]),
    "left": words("inside outside"),
    "right": words("inside outside"),
    "hitter": _SPORT | words("designated pinch"),
    "wingman": _SPORT,
    "shooter": words("sport sports pistol rifle trap skeet olympic target practical"),
    "sailor": words("olympic competitive sport yacht competition paralympic"),
    "medalist": words("olympic gold silver bronze olympics championship paralympic"),
    "medallist": words("olympic gold silver bronze olympics championship paralympic"),
    "champion": _SPORT | words("olympic world national title paralympic"),
    "competitor": _SPORT | frozenset(["olympic", "sports", "strength"]),
    "practitioner": _SPORT | frozenset(["jiu-jitsu", "jitsu", "martial"]),
    "professional": _SPORT,
    "star": _SPORT - frozenset(["track"]),
    "pro": _SPORT,
    "legend": _SPORT,
    "prospect": _SPORT,
    "international": _SPORT,
    "specialist": _SPORT,
    "sprint": _SPORT,
    "master": frozenset(["chess", "international"]),
}
_NOTHING: frozenset[str] = frozenset()
_NO_SPORT = {
    "fighter": words("freedom resistance guerrilla fire jihadist rebel partisan"),
    "jockey": words("disc disk video radio"),
    "diver": words("scuba deep-sea commercial navy cave technical wreck pearl rescue"),
}

_NOT_GAMES = words(
    """trombone guitar bass drum drums piano violin viola cello saxophone sax trumpet flute
    clarinet oboe harp harmonica keyboard keyboards banjo mandolin fiddle accordion organ
    percussion tabla sitar sarod veena oud lute horn tuba bagpipe bagpipes pipe whistle ukulele
    synthesizer steel bouzouki bodhrán kora double-bass bassoon cornet euphonium vibraphone
    marimba concertina mridangam ghatam santoor shakuhachi koto erhu pipa guqin dulcimer zither
    melodeon theremin didgeridoo dobro bansuri sarangi nadaswaram role record key music musical
    session"""
)

_CONTEST = re.compile(
    r"\b(?:compet(?:ed|es|ing)|represent(?:ed|s|ing)|participated|finished|took part|raced|swam|"
    r"rowed|"
    r"fenced)\b[^.;]{0,70}\b(?:olympic|olympics|paralympics|championships?|world cup|games|grand "
    r"prix|tour de france|"
    r"grand tour|nascar|formula one|indy 500)\b"
    r"|\bplay(?:ed|s|ing)\b[^.;]{0,70}\b(?:first-class|test cricket|test match(?:es)?|one day "
    r"international|county cricket|college (?:football|basketball|baseball|soccer)|nfl|nba|wnba|"
    r"nhl|mlb|afl|vfl|major league baseball|minor league|national football league|national hockey "
    r"league|national basketball association|football league|premier league|serie a|bundesliga|la "
    r"liga|ligue 1|super league|(?:defensive|running|full) back|wide receiver|tight end|"
    r"(?:point|shooting) guard|shortstop|catcher|quarterback|linebacker|goalkeeper|midfielder|"
    r"striker|defender|winger|national (?:\w+ )?team|davis cup|world cup|professional "
    r"(?:football|baseball|"
    r"basketball|hockey|soccer|rugby))\b"
    r"|\b(?:made|earned|won|has) [^.;]{0,25}\b(?:first-class (?:debut|appearance)|test debut|"
    r"caps?\b|international appearances?)"
    r"|\bwon [^.;]{0,40}\b(?:gold|silver|bronze) medal[^.;]{0,40}\b(?:olympic|olympics|"
    r"paralympics|championships|games)\b"
    r"|\b(?:as a player|playing career|his playing days|former player)\b"
)

_POLITICAL_HEADS = words(
    """politician statesman stateswoman senator congressman congresswoman parliamentarian
    legislator lawmaker councillor councilor councilman councilwoman councilmember alderman
    alderwoman mayor mayoress governor lieutenant-governor governor-general mp mla mep msp mpp
    mhr td mlc mna mha premier taoiseach tánaiste burgomaster assemblyman assemblywoman
    assemblymember minister-president politico sarpanch selectman vice-mayor"""
)
_NO_STATE = re.compile(
    r"\b(?:bank|banks|school|college|university|hospital|bbc|prison|institute|institution|church|"
    r"society|federation|reserve|association|league|club|company|rotary|corporation|diocese)\b"
)
_CLERGY = words(
    """baptist methodist presbyterian unitarian universalist lutheran ordained congregational
    congregationalist anglican christian gospel church nonconformist reformed protestant
    evangelical wesleyan puritan dissenting pentecostal religious music youth mennonite
    adventist calvinist episcopal spiritual charismatic moravian quaker interfaith gospel hip
    worship"""
)

_CHAMBER = (
    r"(?:(?:house of (?:commons|representatives|delegates|assembly|keys|lords|burgesses|"
    r"councillors|peoples))|parliament|legislature|legislative (?:assembly|council|yuan)|"
    r"(?:national|state|"
    r"general|federal|constituent|provincial|regional|welsh|scottish|northern ireland|people 's) "
    r"(?:assembly|congress|legislature|council|parliament)|assembly|senate|congress|bundestag|"
    r"bundesrat|reichstag|landtag|knesset|lok sabha|rajya sabha|vidhan sabha|state duma|duma|"
    r"riksdag|storting|sejm|dáil|dáil éireann|seanad|national diet|folketing|althing|alþingi|"
    r"cortes|verkhovna rada|supreme soviet|(?:city|town|county|district|borough|municipal|"
    r"metropolitan|privy|common) council|states general|chamber of deputies|politburo|cabinet|"
    r"majlis|shura council|eduskunta|sansad|board of (?:supervisors|aldermen)|"
    r"central committee)\b"
)
_OFFICE = (
    r"(?:(?:lord |deputy |vice |acting )?mayor\b|(?:prime|chief|first|foreign|finance|cabinet|"
    r"defen[cs]e|interior|deputy|health|education|justice|state) minister\b|minister (?:of|for|"
    r"without|responsible)\b|(?:lieutenant |deputy )?governor(?! general 's)\b(?! of the bank)|"
    r"senator\b|congressman\b|congresswoman\b|"
    r"councill?or\b|councilman\b|councilwoman\b|alderman\b|secretary of (?:state|defen[cs]e|war|"
    r"the (?:treasury|interior|navy|army)|labor|agriculture|commerce|health|transportation|"
    r"education)\b|"
    r"(?:state|u\.s\.|united states) representative\b|"
    r"(?:president|vice president|premier|chancellor) of (?:the )?(?:republic|state|united states|"
    r"[a-z]+land|germany|austria|france|brazil|mexico|argentina|chile|peru|turkey|south africa|"
    r"south korea|exchequer|senate|philippines|confederate states)\b|"
    r"member of (?:the )?(?:\S+ ){0,4}?" + _CHAMBER + r"|delegate to the\b|speaker of the\b|"
    r"mp\b|mla\b|mep\b|chancellor of the exchequer\b|home secretary\b|foreign secretary\b|"
    r"attorney general\b)"
)
_SERVICE = re.compile(
    r"\b(?:serv(?:ed|es|ing)|was|is|became|been|sat|sits|acted|held (?:the )?(?:post|position|"
    r"office|portfolio)s?|(?:re-?)?elected|appointed|sworn in|represent(?:ed|s|ing)|ran|stood)\b"
    r"(?: (?:also|briefly|later|twice|first|then|unsuccessfully|in \d{4}|from \d{4} (?:to|until) "
    r"\d{4}|out|once|again|unanimously|successively))*"
    r"(?: (?:as|to|in|on|for|of|by|at|the|a|an|that|its|his|her|their|\d+(?:st|nd|rd|th)|\w+th|"
    r"first|second|third|current|former|acting|deputy|interim|republican|democratic|conservative|"
    r"labour|liberal|independent|national|local|terms?|years|member|two|three|four|several|both|"
    r"houses|lower|upper|house|state|federal|one|post|position|office|role|seat|party|u\.s\.|"
    r"united|states|(?!\w*(?:or|ic|ar)ian )[a-z]+(?:an|ish|ese)|youngest|longest-serving|longest|"
    r"serving)){0,9}"
    r" (?:" + _OFFICE + r"|" + _CHAMBER + r"|\S+ (?:state )?" + _CHAMBER + r")"
)
_CONSTITUENCY = re.compile(
    r"\brepresent(?:ed|s|ing)\b[^.;]{0,60}\b(?:riding|constituency|electorate|electoral "
    r"(?:district|division)|congressional district|legislative district|ward|seat|division of|in "
    r"parliament|"
    r"in the (?:\S+ ){0,4}" + _CHAMBER + r")"
    r"|\b(?:political career|entered politics|active in politics|career in politics|member of "
    r"parliament|elected to (?:the )?(?:\S+ ){0,4}" + _CHAMBER + r")"
)
_MEMBER = re.compile(r"\bmember (?:of|for|in) (?:\S+ ){0,7}?" + _CHAMBER)
_IN_POLITICS = re.compile(
    r"\b(?:political|party) (?:figure|leader|boss|chief|chairman|chairwoman|secretary|spokes\w+)\b"
    r"|\b(?:figure|leader|career|candidate) in (?:\S+ ){0,4}politics\b"
    r"|\b(?:leader|founder|co-founder|chairman|chairwoman|chairperson|president|general secretary|"
    r"secretary general|deputy leader|vice president|spokesperson|co-leader|candidate) (?:of|for) "
    r"(?:the |a )?(?:\S+ ){0,5}?(?:party|communists|social democrats)\b"
    r"|\b(?:opposition|majority|minority|conservative|labour|liberal|communist|socialist|tory|whig|"
    r"republican|democratic|congress|bjp|green) (?:party )?(?:leader|candidate|whip|member)\b"
    r"|\b(?:presidential|gubernatorial|parliamentary|congressional|senatorial|vice-presidential) "
    r"(?:candidate|nominee)\b"
    r"|\b(?:candidate|nominee) for (?:president|governor|mayor|the (?:u\.s\. )?(?:senate|house))"
    r"|\bhead of (?:government|state)\b"
)
_STAFF = re.compile(
    r"\b(?:chaplain|clerk|counsel|aide|staff|staffer|assistant|advis[eo]r|page|librarian|"
    r"correspondent|secretary|officer|lobbyist|interpreter|sergeant|architect|poet laureate|"
    r"speechwriter|intern|consultant)\b(?: to| of| for| in| at)"
)


# A sentence without any of these words is not searched with the patterns above: half the time.
_SPORT_HINTS = words(
    """olympic olympics paralympics championship championships cup games prix france tour nascar
    one 500 first-class test day county college nfl nba wnba nhl mlb afl vfl league leagues
    association serie bundesliga liga ligue quarterback linebacker goalkeeper midfielder striker
    defender winger national football baseball basketball hockey soccer rugby cap caps
    appearance appearances player playing back receiver end guard shortstop catcher"""
)
_POLITICAL_HINTS = words(
    """commons representatives representative delegates assembly lords burgesses councillors
    peoples keys parliament parliamentary legislature legislative congress council senate
    senatorial bundestag bundesrat reichstag landtag knesset sabha duma riksdag storting sejm
    dáil seanad diet folketing althing alþingi cortes rada soviet general deputies politburo
    cabinet majlis eduskunta sansad supervisors aldermen committee yuan mayor minister governor
    senator congressman congresswoman councillor councilor councilman councilwoman alderman
    secretary state president vice premier chancellor delegate speaker mp mla mep attorney
    political politics party leader candidate nominee whip communists democrats government
    presidential gubernatorial congressional spokesman spokeswoman spokesperson riding
    constituency electorate electoral ward seat house boss chief chairman member"""
)

_PLAYS = re.compile(
    r"\s(?:\w+ )?(?:plays|played|competes|competed|fights|fought|rides|rode|races|raced|swims|swam|"
    r"drives)\b"
)


def phrases(text: str) -> Iterator[Phrase]:
    """The things a predicate says the person is, up to its first relative clause."""
    tokens = text.split()
    core: list[str] = []
    tail: list[str] = []
    bounded = skip = False
    for position, token in enumerate([*tokens, "."]):
        if token in CLAUSE:
            token = "."
        if token in _JOINTS:
            if core and not skip:
                yield _one_of(core, tail)
            # "wife of an actor and politician , the governor of maine": all of it is the relative.
            skip = skip or (bool(core) and core[-1] in _KIN and tail[:1] in (["of"], ["to"]))
            core, tail, bounded = [], [], False
            if token == ".":
                return
        elif bounded or token in BOUNDARY or _opens_tail(tokens, position):
            bounded = True
            tail.append(token)
        else:
            core.append(token)


def _opens_tail(tokens: list[str], position: int) -> bool:
    """Whether a participle begins what further describes a role: "affiliated to", "riding for"."""
    token = tokens[position] if position < len(tokens) else ""
    if not token.endswith(("ed", "ing")):
        return False
    return position + 1 < len(tokens) and tokens[position + 1] in _PREPOSITIONS


def _one_of(core: list[str], tail: list[str]) -> Phrase:
    if core[-1] != "one" or tail[:1] != ["of"]:
        return Phrase(core, tail)
    rest = tail[1:]
    end = next((i for i, token in enumerate(rest) if token in GROUP_BOUNDARY), len(rest))
    if not end:
        return Phrase(core, tail)
    group = [token.removesuffix("s") if i == end - 1 else token for i, token in enumerate(rest)]
    return Phrase(group[:end], rest[end:])


def find_roles(lead: Lead) -> Roles:
    """The roles that the first sentence and the next ones about the person give them."""
    sports = politics = False
    for sentence, what in [(lead.first, lead.predicate), *lead.about[:_CLOSE]]:
        tokens = set(sentence.split())
        is_first = sentence is lead.first
        said = list(phrases(what))
        sports = (
            sports
            or any(_sports_role(phrase) for phrase in said)
            or (not tokens.isdisjoint(_SPORT_HINTS) and bool(_CONTEST.search(sentence)))
            or (is_first and _practises(what))
        )
        politics = (
            politics
            or any(_political_role(phrase) for phrase in said)
            or (not tokens.isdisjoint(_POLITICAL_HINTS) and _holds_office(sentence))
        )
    return Roles(sports, politics)


def _sports_role(phrase: Phrase) -> bool:
    *before, head = phrase.core
    # "a footballer-turned-manager" was both.
    if not _SPORT_HEADS.isdisjoint(head.split("-turned-")):
        return _NO_SPORT.get(head, _NOTHING).isdisjoint(before)
    if head == "player":
        return not _NOT_GAMES.intersection(before)
    needed = _SPORT_PAIRS.get(head)
    return needed is not None and not needed.isdisjoint(before)


def _practises(what: str) -> bool:
    """ "a professional lacrosse transition who plays for ...": the role has no word of its own."""
    role, _, clause = what.partition(" who")
    return bool(_PLAYS.match(clause)) and not _SPORT.isdisjoint(role.split())


def _holds_office(sentence: str) -> bool:
    for pattern in (_MEMBER, _IN_POLITICS, _SERVICE, _CONSTITUENCY):
        match = pattern.search(sentence)
        if match and not _STAFF.search(sentence[max(match.start() - 30, 0) : match.end()]):
            return True
    return False


def _political_role(phrase: Phrase) -> bool:
    *before, head = phrase.core
    tail = " ".join(phrase.tail)
    if head in _POLITICAL_HEADS:
        return not _NO_STATE.search(tail) and "bank" not in before
    if head == "minister":
        clergy = _CLERGY.intersection(before) or _CLERGY.intersection(phrase.tail[:5])
        return not clergy
    if head == "deputy":
        return bool(re.search(_CHAMBER, tail)) or "federal" in before or "national" in before
    if head in ("representative", "delegate", "speaker", "commissioner"):
        return "state" in before or "county" in before or bool(re.search(_CHAMBER, tail))
    if head in ("president", "chancellor", "secretary", "vice-president"):
        return bool(re.match(_OFFICE, f"{head} {tail}"))
    return False
