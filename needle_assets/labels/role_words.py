"""The words and patterns that name sportspeople and politicians. How they decide is in `roles`."""

import re

from needle_assets.labels.lead import words

SPORT = words(
    """football soccer futsal rugby cricket tennis basketball baseball softball volleyball handball
    hockey lacrosse polo golf badminton squash snooker darts curling hurling camogie netball
    kabaddi bandy floorball korfball shinty athletics gymnastics swimming boxing wrestling judo
    karate taekwondo fencing archery shooting rowing canoeing sailing cycling skiing skating
    snowboarding biathlon triathlon pentathlon racing motorsport motorcycle speedway rally
    motocross equestrian bobsleigh luge skeleton surfing bowling weightlifting powerlifting
    bodybuilding mma ufc kickboxing wushu jiu-jitsu jujitsu sambo savate kendo aikido kung
    muay dressage eventing showjumping waterpolo heavyweight middleweight welterweight lightweight
    featherweight bantamweight flyweight cruiserweight racquetball billiards chess draughts
    track sumo mixed martial sprint"""
)

SPORT_HEADS = words(
    """footballer handballer basketballer volleyballer netballer softballer cricketer cyclist
    swimmer sprinter hurdler boxer kickboxer wrestler golfer fencer gymnast rower sculler canoeist
    canoer coxswain kayaker kayakist archer judoka karateka taekwondoka biathlete triathlete
    decathlete heptathlete pentathlete duathlete paratriathlete athlete para-athlete sportsman
    sportswoman sportsperson olympian paralympian skier snowboarder skater speedskater surfer
    windsurfer kitesurfer wakeboarder skateboarder bodybuilder powerlifter weightlifter curler luger
    bobsledder bobsleigher diver hurler jockey equestrian equestrienne eventer showjumper racer
    rider goalkeeper goaltender goalie netminder defender midfielder striker forward winger attacker
    sweeper centre-back center-back full-back fullback left-back right-back wing-back half-back
    halfback centre-half half-forward centre-forward full-forward defenceman defenseman left-winger
    right-winger playmaker libero quarterback linebacker cornerback lineman placekicker punter
    kicker tailback nose-tackle pitcher catcher shortstop outfielder infielder baseman fielder
    batsman batter batswoman bowler all-rounder allrounder wicketkeeper wicket-keeper
    wicketkeeper-batsman ruckman rover flanker fly-half scrum-half scrumhalf hooker loosehead lock
    prop back-row five-eighth high-jumper jumper vaulter thrower putter shot-putter runner
    marathoner ultramarathoner racewalker walker orienteer steeplechaser ballplayer slotback snapper
    foilist sabreur épéeist sambist pugilist backstroker freestyler breaststroker goalscorer
    strongman strongwoman aikidoka sumotori rikishi yokozuna yachtsman yachtswoman oarsman oarswoman
    cueist freediver mountaineer alpinist ski-mountaineer rock-climber player-coach player-manager
    pole-vaulter trampolinist grandmaster skipper
    markswoman co-driver bullfighter torero bmxer fighter racewoman"""
)

_MARTIAL = words(
    """judo karate taekwondo kendo aikido wushu sambo muay jiu-jitsu jujitsu jujutsu hapkido iaido
    kung martial"""
)

# A head that names a sportsperson only after certain words.
SPORT_PAIRS = {
    "driver": words(
        """racing race rally car stock nascar formula kart karting truck motor touring indycar drag
    sprint grand-prix motorsport motorsports speedway rallycross off-road harness monster drift
    auto gp2 indy dirt endurance v8 supercar sportscar monoposto bobsleigh one works
    racecar race-car stockcar stock-car rally-car dragster powerboat motorboat hydroplane"""
    ),
    "artist": frozenset(["martial"]),
    "dancer": frozenset(["ice"]),
    "back": words("running defensive full left right half centre center wing utility"),
    "end": frozenset(["tight", "defensive", "split"]),
    "receiver": frozenset(["wide"]),
    "tackle": words("offensive defensive left right nose"),
    "guard": SPORT | words("point shooting offensive left right combo nose"),
    "setter": SPORT,
    "opposite": frozenset(["volleyball"]),
    "pivot": frozenset(["handball", "futsal"]),
    "spinner": words("cricket off leg left-arm right-arm"),
    "blocker": SPORT,
    "pocket": SPORT,
    "eight": SPORT,
    "stand-off": SPORT,
    "second-row": SPORT,
    "climber": words("rock sport ice lead competition boulder free mountain speed alpine"),
    "belt": frozenset(["black"]),
    "exponent": _MARTIAL,
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
    "hitter": SPORT | words("designated pinch"),
    "wingman": SPORT,
    "shooter": words("sport sports pistol rifle trap skeet olympic target practical"),
    "sailor": words("olympic competitive sport yacht competition paralympic"),
    "medalist": words("olympic gold silver bronze olympics championship paralympic"),
    "medallist": words("olympic gold silver bronze olympics championship paralympic"),
    "champion": SPORT | words("olympic world national title paralympic"),
    "competitor": SPORT | words("olympic sports strength strongman"),
    "practitioner": SPORT | frozenset(["jiu-jitsu", "jitsu", "martial"]),
    "professional": SPORT,
    "star": SPORT - frozenset(["track"]),
    "pro": SPORT,
    "legend": SPORT,
    "prospect": SPORT,
    "international": SPORT,
    "specialist": SPORT,
    "sprint": SPORT,
    "master": _MARTIAL | frozenset(["chess", "international"]),
}
NO_SPORT = {
    "fighter": words(
        """freedom resistance guerrilla fire jihadist rebel partisan independence insurgent crime
    anti-apartheid civil-rights underground"""
    ),
    "runner": words("drug gun rum blockade front"),
    "rider": words("freedom express circuit dispatch mail pony"),
    "defender": words("public rights human environmental land federal state civil"),
    "strongman": words("political military regional local"),
    "catcher": words("rat dog thief"),
    "thrower": words("knife flame"),
    "skipper": words("fishing trawler lifeboat charter"),
    "sweeper": words("street chimney"),
    "jockey": words("disc disk video radio"),
    "diver": words("scuba deep-sea commercial navy cave technical wreck pearl rescue"),
}

NOT_GAMES = words(
    """trombone guitar bass drum drums piano violin viola cello saxophone sax trumpet flute
    clarinet oboe harp harmonica keyboard keyboards banjo mandolin fiddle accordion organ
    percussion tabla sitar sarod veena oud lute horn tuba bagpipe bagpipes pipe whistle ukulele
    synthesizer steel bouzouki bodhrán kora double-bass bassoon cornet euphonium vibraphone
    marimba concertina mridangam ghatam santoor shakuhachi koto erhu pipa guqin dulcimer zither
    balalaika bandura kantele sheng shamisen biwa charango conga congas bongo glockenspiel
    xylophone washboard rhythm lead slide reed brass wind stage bit character repertory
    melodeon theremin didgeridoo dobro bansuri sarangi nadaswaram role record key music musical
    session"""
)

LEAGUES = words(
    "nfl nba wnba nhl mlb afl vfl cfl league leagues football hockey basketball baseball nascar"
)
"""Words after "guard in the ..." that make it a player's position."""

BY_LEAGUE = words("driver back end receiver tackle guard center centre safety half setter hitter")

CONTEST = re.compile(
    r"\b(?:compet(?:ed|es|ing)|represent(?:ed|s|ing)|participated|finished|took part|raced|swam|"
    r"rowed|"
    r"fenced)\b[^.;]{0,110}\b(?:olympic|olympics|paralympics|championships?|world cup|games|grand "
    r"prix|tour de france|"
    r"grand tour|nascar|formula one|indy 500)\b"
    r"|\brepresent(?:ed|s|ing)?\b[^.;]{0,70}\b(?:national (?:\w+ ){0,2}team|international level|"
    r"association football|as an? (?:goalkeeper|defender|midfielder|forward|striker)|"
    r"international (?:\w+ )?competitions)\b"
    r"|\b(?:held|holds|won|winning|captured|defended|claimed)\b[^.;]{0,80}\b\w*weight "
    r"(?:\w+ ){0,2}(?:title|championship|crown|belt)\b"
    r"|\bplay(?:ed|s|ing) (?:\w+ ){0,2}(?:football|baseball|basketball|hockey|rugby|soccer|tennis|"
    r"lacrosse|volleyball|golf|cricket|water polo)(?: and \w+)? (?:at|for|with) "
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
    r"|\b(?:karate|judo|taekwondo|aikido|kendo|jiu-jitsu|jujitsu|jujutsu|martial arts|kung fu)\b"
    r"[^.;]{0,60}\b(?:dan|black belt|degree)\b"
    r"|\b(?:as a player|playing career|his playing days|former player)\b"
)

# Contests of other arts, on which the pattern above says nothing.
NO_CONTEST = re.compile(
    r"\b(?:poet|poetry|poems|spelling|pageant|beauty|debating|beatbox|barista|eurovision|memory|"
    r"slam (?:championships?|finals?|team))\b"
)
# Of a sentence without a copula: "jane roe won six national driving championships".
DEED = re.compile(
    r"\b(?:won|wins|holds|held|set|plays|played|competes|competed|represented|represents|raced|"
    r"rode|fought|pitched|earned|finished|qualified|scored|participated)\b"
)
TEAM_MEMBER = re.compile(
    r"\bmember of (?:the )?(?:\S+ ){0,5}?(?:national|olympic|paralympic|cup)\b[^.;,]{0,30}"
    r"\b(?:team|squad|side)\b(?! coaching| staff)"
    r"|\bmember of (?:the )?(?:[\w'-]+ ){1,4}?(?:rugby (?:union|league)|cricket|hockey|football|"
    r"basketball|volleyball|handball|baseball|rowing|ski|swimming) (?:team|squad|side)\b"
    r"(?! coaching| staff)"
)

POLITICAL_HEADS = words(
    """politician statesman stateswoman senator congressman congresswoman congressperson
    parliamentarian legislator lawmaker councillor councilor councilman councilwoman councilmember
    alderman alderwoman mayor mayoress governor lieutenant-governor governor-general mp mla mep msp
    mpp mhr td mlc mna mha premier taoiseach tánaiste burgomaster assemblyman assemblywoman
    assemblymember minister-president whip dictator politico sarpanch selectman vice-mayor"""
)
NO_STATE = re.compile(
    r"\b(?:bank|banks|school|college|university|hospital|bbc|prison|institute|institution|church|"
    r"society|federation|reserve|tower|association|league|club|company|rotary|corporation|diocese)\b"
)
CLERGY = words(
    """baptist methodist presbyterian unitarian universalist lutheran ordained congregational
    congregationalist anglican christian gospel church nonconformist reformed protestant evangelical
    wesleyan puritan dissenting pentecostal religious music youth mennonite adventist calvinist
    religion episcopal spiritual charismatic moravian quaker interfaith gospel hip worship"""
)

CHAMBER = (
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
OFFICE = (
    # No minister of a church, governor of a bank, of a prison or of the tower of london.
    r"(?!minister (?:of|for) (?:the )?(?:(?!and\b)[\w'.-]+ ){0,3}?"
    r"(?:church|churches|chapel|congregation|gospel|parish|kirk)\b(?! affairs))"
    r"(?!(?:(?:lieutenant|deputy) )?governor of (?:the )?(?:(?!and\b)[\w'.-]+ ){0,3}?"
    r"(?:bank|prison|penitentiary|gaol|jail|tower|rotary|hospital|school|college|company)\b)"
    r"(?:(?:lord |deputy |vice |acting )?mayor\b|(?:prime|chief|vice|first|foreign|finance|cabinet|"
    r"defen[cs]e|interior|deputy|health|education|justice|state) minister\b|minister (?:of|for|"
    r"without|responsible)\b|(?:lieutenant |deputy )?governor(?! general 's)\b|"
    r"senator\b|congressman\b|congresswoman\b|"
    r"councill?or\b|councilman\b|councilwoman\b|alderman\b|(?:county|city|"
    r"district) commissioner\b|secretary of (?:state|treasury|defen[cs]e|war|"
    r"the (?:treasury|interior|navy|army)|labor|agriculture|commerce|health|transportation|"
    r"education)\b|"
    r"(?:state|u\.s\.|united states) representative\b|"
    r"(?:president|vice[- ]president|premier|"
    r"chancellor) of (?:the )?(?:(?:\S+ ){0,4}?republic|state|united states|"
    r"[a-z]+land|germany|austria|france|brazil|mexico|argentina|chile|peru|turkey|south africa|"
    r"south korea|exchequer|senate|philippines|confederate states)\b|"
    r"(?:president|vice[- ]president|chairman|chairwoman|head) of the (?:\w+ )?"
    r"(?:transitional|revolutionary|governing) council\b|"
    # The elected heads of a people; who is chief by birth is no politician.
    r"(?:tribal|principal) chief\b|"
    r"(?:president|vice[- ]president|chairman|chairwoman|chairperson|governor|chief) of the "
    r"(?:[\w'-]+ ){1,4}?(?:tribe|tribes|nation|pueblo|tribal council)\b|"
    r"member of (?:the )?(?:\S+ ){0,4}?"
    + CHAMBER
    + r"|delegate to the (?:\S+ ){0,5}?(?:congress|convention|assembly|house|legislature|"
    r"parliament|"
    r"senate|diet)\b|speaker of the\b|"
    r"mp\b|mla\b|mep\b|chancellor of the exchequer\b|home secretary\b|foreign secretary\b|"
    r"attorney general\b)"
)
SERVICE = re.compile(
    r"\b(?:serv(?:ed|es|ing)|was|is|became|been|sat|sits|acted|held (?:the )?(?:post|position|"
    r"office|portfolio)s?|(?:re-?)?elected|appointed|named|sworn in(?:to office)?|"
    r"represent(?:ed|s|ing)|ran|stood)\b"
    r"(?: (?:also|briefly|later|twice|first|then|unsuccessfully|in \d{4}|from \d{4} (?:to|until) "
    r"\d{4}|out|once|again|and lost|as an? \S+ in|unanimously|successively))*"
    r"(?: (?:as|to|in|on|for|of|by|at|the|a|an|that|its|his|her|their|\d+(?:st|nd|rd|th)|\w+th|"
    r"first|second|third|election|current|former|acting|deputy|interim|republican|democratic|"
    r"conservative|"
    r"labour|liberal|independent|national|local|terms?|years|member|two|three|four|several|both|"
    r"houses|lower|upper|house|state|federal|one|post|position|office|role|seat|party|u\.s\.|"
    r"united|states|(?!\w*(?:or|ic|ar)ian )[a-z]+(?:an|ish|ese)|youngest|longest-serving|longest|"
    r"serving|female)){0,9}"
    r" (?:" + OFFICE + r"|" + CHAMBER + r"|\S+ (?:state )?" + CHAMBER + r")"
)
CONSTITUENCY = re.compile(
    r"\brepresent(?:ed|s|ing)\b[^.;]{0,60}\b(?:riding|constituency|electorate|electoral "
    r"(?:district|division)|congressional district|legislative district|ward|seat|division of|in "
    r"parliament|"
    r"in the (?:\S+ ){0,4}" + CHAMBER + r")"
    r"|\b(?:political career|entered politics|active in politics|career in politics|member of "
    r"parliament|elected to (?:the )?(?:\S+ ){0,4}" + CHAMBER + r")"
)
MEMBER = re.compile(r"\bmember (?:of|for|in) (?:\S+ ){0,7}?" + CHAMBER)
IN_POLITICS = re.compile(
    r"\b(?:political|party) (?:figure|leader|candidate|nominee|boss|chief|chairman|chairwoman|"
    r"secretary|spokes\w+)\b"
    r"|\b(?:figure|leader|career|candidate) in (?:\S+ ){0,4}politics\b"
    r"|\b(?:leader|founder|co-founder|chairman|chairwoman|chairperson|president|general secretary|"
    r"secretary general|first secretary|deputy leader|vice president|vice chair|chair|spokesperson|"
    r"co-leader|candidate) (?:of|for) "
    r"(?:the |a )?(?:\S+ ){0,5}?(?:party|communists|social democrats)\b"
    r"|\b(?:opposition|majority|minority|conservative|labour|liberal|communist|socialist|tory|whig|"
    r"republican|democratic|congress|bjp|green) (?:party )?(?:leader|candidate|whip|member)\b"
    r"|\b(?:presidential|gubernatorial|parliamentary|congressional|senatorial|vice-presidential) "
    r"(?:candidate|nominee)\b"
    r"|\b(?:candidate|nominee) for (?:president|governor|mayor|the (?:u\.s\. )?(?:senate|house))"
    r"|\bhead of (?:government|state)\b|\bleader of the opposition\b"
    r"|\b(?:leads|led|heads|headed|founded|co-founded|chairs|chaired) (?:an? \w+ called )?"
    r"(?:the|a political|an opposition) (?:(?!search|rescue|boarding|scouting|garden|tea|dinner)"
    r"\S+ ){0,4}?party\b"
)
STAFF = re.compile(
    r"\b(?:chaplain|clerk|counsel|aide|staff|staffer|assistant|advis[eo]r|page|librarian|"
    r"correspondent|secretary(?! of (?:state|defen|war|treasury|labor|agriculture|commerce|health|"
    r"transportation|education|the (?:treasury|interior|navy|army)))|officer|lobbyist|"
    r"interpreter|sergeant|architect|poet laureate|"
    r"speechwriter|intern|consultant)\b(?: to| of| for| in| at)"
)


# A sentence without any of these words is not searched with the patterns above: half the time.
SPORT_HINTS = SPORT | words(
    """olympic olympics paralympics championship championships cup games prix france tour nascar
    one 500 first-class test day county college nfl nba wnba nhl mlb afl vfl league leagues
    association serie bundesliga liga ligue quarterback linebacker goalkeeper midfielder striker
    defender winger national football baseball basketball hockey soccer rugby cap caps
    appearance appearances player playing back receiver end guard shortstop catcher"""
)
SPORTING_LIFE = (
    SPORT
    | LEAGUES
    | words(
        """olympic olympics paralympics championship championships cup coach club team teammate
    player played plays playing season drafted debut appearances caps capped matches innings
    pitching goals goalscorer sporting sports athletic"""
    )
)
"""Words of a text that may speak of a sportsperson, where another source says that it does."""

PUBLIC_LIFE = words(
    """politics political party parliament parliamentary senate congress assembly minister ministry
    mayor governor council councillor election elections elected legislature cabinet candidate
    official"""
)
"""Words of a text that may speak of a politician, where another source says that it does."""

_CHAMBERS = words(
    """commons representatives delegates assembly lords burgesses councillors peoples keys
    parliament legislature legislative congress council senate bundestag bundesrat reichstag
    landtag knesset sabha duma riksdag storting sejm dáil seanad diet folketing althing alþingi
    cortes rada soviet general deputies politburo cabinet majlis eduskunta sansad supervisors
    aldermen committee yuan convention house"""
)
OFFICE_HINTS = _CHAMBERS | words(
    """mayor minister governor senator congressman congresswoman councillor councilor councilman
    councilwoman alderman commissioner secretary representative president vice-president premier
    chancellor delegate speaker mp mla mep attorney tribe tribes tribal nation pueblo"""
)
"""A sentence that `SERVICE` finds has one of these; a look at words is a tenth of its time."""

PARTY_HINTS = words(
    """political party politics communists democrats leader candidate nominee whip member
    government state presidential gubernatorial parliamentary congressional senatorial"""
)
"""The same for `IN_POLITICS`."""

SEAT_HINTS = _CHAMBERS | words(
    """riding constituency electorate electoral congressional legislative ward seat division
    parliamentary political politics elected"""
)
"""The same for `CONSTITUENCY`."""

POLITICAL_HINTS = OFFICE_HINTS | PARTY_HINTS | SEAT_HINTS
