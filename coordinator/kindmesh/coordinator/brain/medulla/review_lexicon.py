"""Words that mean about the same in a household, as data: what the prover of spans needs to be generous.

Each line of `ALIKE` is one group; words are stems (`review_words.stem`), a word may be in several groups. `OPPOSITE`
are pairs of sides: where a word of one was said, no word of the other is meant, whatever it is like ("lock up" opens
nothing). What is not here simply has to be said. English; another language is another table.
"""

from __future__ import annotations

from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ALIKE: Final = """
off out kill quench disable deactivate stop shut down cut douse extinguish snuff knock rid no unplug
light dark bright
on enable activate start plug
light ignite
close shut lower down draw
open raise up unshut
lock secure bolt deadbolt latch
unlock unbolt
start begin run launch resume go activate
stop end halt cancel abort quit finish
pause hold
play listen put hear stream music song
mute silence quiet
dim brightness bright brighten dark darker lighter percent level
volume loud louder quieter loudness
warm warmer heat heating heater cold colder cool cooler cooling degree temperature thermostat climate
increase raise up more higher louder brighter warmer
decrease lower reduce less down quieter darker cooler
send mail email message text tell ask write inform reply answer forward post sms let say ping dm notify telegram respond
send message whatsapp chat
share invite send give grant
call phone ring dial
pay transfer wire spend donate settle bill rent invoice payment charge deposit refund
buy order purchase get shop shopping checkout cart basket subscribe
delete remove erase clear drop trash discard tick cancel
create add make new schedule book set plan put arrange save insert register
remember remind reminder save store note memo memorise write keep memory
log note record written
take took taken takes
balance money much account
chat message said say wrote written write
share let access grant permission edit
copy duplicate write save
set put setting
drop pill tablet medicine
steps walk
humid humidity
update change edit modify move reschedule rename replace adjust set postpone shift
update save store note
invite add include join
event invite invitation meeting
daily day
weekly week
monthly month
yearly annually year
complete done finish check tick mark cross strike bought fetched
clean vacuum hoover sweep mop robot cleaner
water irrigate sprinkle sprinkler valve irrigation
announce broadcast say speak tell read aloud
photo picture image snapshot camera capture shoot film record video see look
listen record audio microphone hear
find search look locate where lookup query
calendar event appointment meeting schedule agenda diary
contact address people person
list todo task item shopping grocery chore
file document folder note page
upload publish post share
download fetch get open read load
run execute start launch
timer countdown alarm wake
alarm alert arm
arm secure
disarm
return dock home base charge
medicine medication pill tablet drug dose dispense
cook stove oven hob bake cooker boil kettle
light lamp bulb lighting lite
media player radio music speaker tv television song play listen volume
cover blind curtain shade shutter awning roller drape window
door gate garage
climate thermostat heating ac aircon hvac
tv television telly screen
speaker sonos stereo radio
mum mom mother mama mummy
dad father papa daddy
grandma granny grandmother nana
grandpa granddad grandfather
doctor gp physician
reserve book reservation booking
hotel room stay accommodation
colour color red green blue white yellow orange purple pink hue
fan ventilator ventilation
plug socket outlet
kid child children
euro eur
dollar usd buck
pound gbp quid
house home
lounge living sitting
couch sofa
fridge refrigerator
""".strip().splitlines()

SAID_FOR: Final = {
    ("valve", "open"): "on start run", ("valve", "close"): "off stop cut mains",
    ("todo", "remove"): "take off strike cross",
    ("cover", "open"): "out extend unroll roll wind crack sun sunlight sunshine daylight look",
    ("cover", "close"): "in retract roll wind",
    ("script", "on"): "run start do execute activate trigger begin", ("scene", "on"): "run start activate begin",
}  # fmt: skip
"""What people say for a verb, of that kind of thing only: water is turned on, and milk taken off the list."""

OPPOSITE: Final = (
    ("on enable activate", "off disable deactivate kill quench cut shut stop halt"),
    ("start begin resume run", "stop halt pause cancel abort"), ("play resume", "pause stop mute silence"),
    ("open unshut unlock unbolt disarm", "close shut lock bolt secure arm"), ("open", "lower"), ("raise", "close shut"),
    ("up raise increase louder", "down lower decrease reduce quieter mute silence"),
    ("add create", "remove delete erase"),
    ("allow accept approve grant", "block deny decline reject refuse revoke"), ("private", "public"), ("buy", "sell"),
    ("heat", "cool"),
)  # fmt: skip

PUT_BACK: Final = (
    ("on", "off"), ("off", "on"), ("open", "close"), ("close", "open"), ("open", "shut"), ("unlock", "lock"),
    ("play", "pause"), ("play", "stop"), ("pause", "play"), ("start", "stop"), ("start", "return"), ("start", "dock"),
    ("enable", "disable"), ("disable", "enable"), ("disarm", "arm"),
)  # fmt: skip
"""What ends what was done for a while: the verb, and the one that puts it back."""

STOP: Final = _words(
    """a an the and or but so then also too of to in into onto at by for from with without about as is are
    was were be been being am do does did have has had i i'm im ive me my mine myself we us our you
    your it its it's this that these those there here he she they them his her their please can
    could would will shall should may might must let's lets just now hey ok okay hi hello thanks
    thank kindly want need like would wanna gonna if when while until once right um uh er well some
    any little bit again still really very quickly soon really what who how which whose not dont
    don't if i'd i'll s t d ll re ve m"""
)
"""Words that say nothing about what shall be done, or to what."""

GENERIC: Final = _words(
    """home control access device service entity entities api tool tools server client data item object
    value values system user house do perform manage handle set get update run call use default main
    id ids name note domain list household smart one single kindmesh app application plugin function action operation
    request new my the a an to of for in on turn switch toggle state mode option options type kind
    v1 v2 v3 assistant by with from and or via it is"""
)
"""Words in names of operations that are no support by themselves."""

PLACES: Final = _words(
    """kitchen bed bedroom living room bath bathroom hall hallway corridor garage garden office study attic
    basement cellar porch patio terrace balcony dining lounge laundry utility toilet wc nursery kid
    child guest master upstairs downstairs floor ground first second top upper lower left right
    front back rear inside outside outdoor indoor yard shed landing stair entrance entry loft pantry
    den conservatory playroom house home main driveway big small"""
)

EVERYTHING: Final = _words(
    """all every each everything whole everywhere entire both everyone everybody any"""
)

MONEY: Final = _words(
    """euro eur dollar usd pound gbp buck quid cent pence money bill rent invoice price cost pay payment
    fee owe salary chf franc yen krona zloty tip allowance donation"""
)

UNITS_MS: Final = {
    "ms": 1, "millisecond": 1, "s": 1_000, "sec": 1_000, "second": 1_000, "min": 60_000, "minute": 60_000,
    "h": 3_600_000, "hr": 3_600_000, "hour": 3_600_000, "day": 86_400_000, "week": 604_800_000,
    "fortnight": 1_209_600_000, "month": 2_592_000_000, "year": 31_536_000_000,
}  # fmt: skip

NUMBERS: Final = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fourty": 40,
    "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90, "dozen": 12, "couple": 2, "pair": 2,
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9,
    "tenth": 10, "once": 1, "twice": 2, "thrice": 3, "single": 1,
}  # fmt: skip
SCALES: Final = {"hundred": 100, "thousand": 1_000, "k": 1_000, "million": 1_000_000}

TEMPORAL: Final = _words(
    """today tonight tomorrow yesterday now morning noon midday afternoon evening night midnight monday
    tuesday wednesday thursday friday saturday sunday january february march april may june july
    august september october november december oclock o'clock am pm week weekend weekday month year
    day hour minute second later every daily weekly hourly monthly annually yearly half quarter past
    next sunrise sunset dawn dusk birthday christmas easter until before after lunch dinner
    breakfast bedtime spring summer autumn winter mon tue wed thu fri sat sun"""
)

RELATIVE: Final = _words(
    """dim brighten brighter darker warm warmer cooler colder louder quieter higher lower more less up down
    hot chilly freezing cold nippy boiling stuffy perishing roasting baking parky
    increase decrease raise reduce softer bright cosy cozy comfortable full max maximum min minimum
    half low high medium night movie bedtime reading relax faster slower stronger weaker quicker gentler crack ajar
    smidge smidgen tad touch notch bit little fraction slightly somewhat hair further inch gloomy glaring loud quiet"""
)

__all__ = [
    "ALIKE", "EVERYTHING", "GENERIC", "MONEY", "NUMBERS", "OPPOSITE", "PLACES", "PUT_BACK",
    "RELATIVE", "SAID_FOR", "SCALES",
    "STOP", "TEMPORAL", "UNITS_MS",
]  # fmt: skip
