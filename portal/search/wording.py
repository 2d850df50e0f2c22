"""How questions are worded: words that say how something is asked and not what.

They are taken out of a query, or count for less in it, and never out of the index.  The lists are general English and
Chinese; a name that looks like one of them (IT, US, WHO in capitals) is told apart by `portal.search.query`.
"""

import re

_FUNCTION_WORDS = """
a about after again all also am an and any anybody anyone anything are aren't as ask asked asking at
be because been before being between both but by
can can't cannot could couldn't
describe describes described did didn't do does doesn't doing don't done during
each either else ever every everyone everything explain explains
few find for from further
get gets getting give gives go goes going gonna got gotten
had has hasn't have haven't having he hello help her here hers hey hi him his how however
i i'd i'll i'm i've if in info information into is isn't it it's its itself
just kind kindly know knows known
let let's like likely look looking lot
made make makes making many may maybe me mean means might mine more most much must my myself
need needed needs neither no nor not now
of off ok okay on once one only onto or other others our ours out over own
people perhaps please possible
quite rather really regarding related
said same say says see seem seems shall she should shouldn't show so some somebody someone something such sure
tell than thank thanks that that's the their them then there there's these they they're thing things think this
those though through to too toward towards trying
under unless until up upon us use used uses using usually
very via want wanted wants was wasn't way we we're well were weren't what what's when where whether which while who
who's whom whose why will with within without won't wonder wondering would wouldn't
yes yet you you're your yours yourself
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())

# Words that belong to what is asked but tell little apart.  In a small collection some of them are rare by chance, and
# would then weigh like names.
_WEAK_WORDS = """
ago almost already always anyway else enough especially even ever exactly far instead lately later maybe never often
recent recently since sometimes soon still suddenly today together yesterday
actually basically currently early earlier properly
begin change changed changes changing come comes coming exist feel happen happened happening happens hear keep keeps
occur occurs put run start started starting starts stop take taken takes took tried try turn work worked working works
believe guess hate hope like love prefer remember suppose think thought understand understood wish
allow allows become becomes cause caused causes
able bad best better big certain common correct different difficult easy fine first full general good great hard
important large last little long main new next nice normal old particular possible proper right same second several
short similar small specific sure various whole wrong
amount answer bit case category categories difference differences example examples fact idea issue issues list lot
meaning number option options part people person place point problem problems purpose question questions reason sense
sort step steps stuff time times type types
day days month months week weeks year years
across against among besides despite due except hey per sorry
"""
WEAK_WORDS = frozenset(_WEAK_WORDS.split())

# What a Chinese question is made of beside its subject, in Simplified characters.  Single characters that also stand in
# words of content (请 in 申请, 吧 in 网吧) are left out, or taken only at the end.
ASKING = re.compile(
    "请问|请教|请帮我|帮我|麻烦您|麻烦你|您好|你好|谢谢您|谢谢你|谢谢|告诉我|我想知道|想知道|我想问|想问|我想要|我想|想要|我要|"
    "为什么会|为什么|为啥|为何|是什么|什么是|有什么|什么时候|什么样|什么|甚么|"
    "怎么样|怎么办|怎么回事|怎么|怎样|咋办|咋样|咋|啥|如何|"
    "有哪些|哪一个|哪一些|哪些|哪个|哪里|哪儿|哪种|在哪|是谁|谁|"
    "能不能|可不可以|是不是|有没有|会不会|要不要|该不该|应不应该|是否|能否|可否|可以|多少|"
    "的话$|吗$|呢$"
)

# What may be left over between words of asking and is no word of content by itself.
PARTICLES = frozenset(
    "的了我你您他她它在是有和与及或被把给让对从到会要能该都也还就才很太最吧呢吗啊呀哦嘛么个着过那这去来"
)
