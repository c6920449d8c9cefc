"""English: the sentences of the household's own grammar, by intent; see `template`.

Politeness, contractions and (where a topic takes them) times are gone before these are tried.
"""

from __future__ import annotations

from typing import Final

_ADD: Final = "(add|put|write|include|stick|throw|jot|append|enter|place)"
_OFF: Final = "(remove|delete|take|erase|strike|drop|pull|get rid of)"
_TICK: Final = "(cross|check|tick|scratch|mark)"
_EVENT: Final = "(add|put|schedule|create|make|set|set up|book|plan|arrange|enter|insert|place|save)"

_DIARY: Final = "(calendar|diary|agenda|schedule|planner)"
_PUT_IN: Final = "(add|put|pop|stick|jot|write|note|get|enter|bung|mark)"

SENTENCES: Final[dict[str, tuple[str, ...]]] = {
    "Emergency": (
        "(emergency|this is an emergency|it is an emergency|i have an emergency|medical emergency)",
        "(call|get|fetch|send) [for] (help|an ambulance|the ambulance|a doctor now|the emergency services)",
        "(call|dial|phone|ring) (911|112|999|000|emergency|emergency services|the emergency services|the "
        "police|the fire "
        "brigade|the fire department)",
        "(help me|help|please help me) i (have fallen|fell|am hurt|am bleeding|can not get up|am injured|can "
        "not breathe)",
        "i (have fallen|fell|have fallen down|fell down) [and can not get up|and i can not get up|over]",
        "i (can not get up|can not breathe|am bleeding|am having a heart attack|think i am having a heart attack|am "
        "having a stroke|have chest pain|have chest pains)",
        "(somebody|someone) [please] (help me|call an ambulance|call for help)",
        "i need (an ambulance|help now|help right now|urgent help|emergency help)",
        "there is a fire",
    ),
    "Help": (
        "help",
        "what can you do [for me|here]",
        "what are you able to do",
        "what can i (say|ask|ask you|tell you)",
        "what do you (do|know|understand)",
        "how (can|could) you help [me]",
        "how do i use you",
        "what else can you do",
        "(list|show|tell) [me] (your commands|what you can do|your abilities|your skills)",
        "what are your (skills|abilities)",
        "what things can you do",
        "what [kind of] things do you (do|understand)",
    ),
    "Greeting": (
        "(hello|hi|hey|hiya|howdy|greetings|good day) [there|everyone|again]",
        "good (morning|afternoon|evening)",
        "how are you [doing] [today]",
        "how is it going",
        "how do you do",
        "how have you been",
    ),
    "Goodbye": ("(goodbye|bye|bye bye|see you|see you later|see ya|good night|talk to you later|farewell)",),
    "Thanks": (
        "(thanks|thank you|cheers|many thanks|thanks a lot|thank you so much|thank you very much) [for your "
        "help|for that|"
        "for the help|for helping me|kindmesh]",
        "(great|perfect|good job|well done|nice|awesome|excellent|very good|good|wonderful) [thanks|thank you]",
        "that (is|was) (great|perfect|good|nice|helpful|very helpful)",
    ),
    "WhoAreYou": (
        "(who|what) are you",
        "what is your name",
        "are you (real|a robot|a person|human|an ai|a bot|a human)",
        "tell me about yourself",
    ),
    "Repeat": (
        "(repeat|say) that [again]",
        "(what|pardon|come again|again|sorry what)",
        "what did you say",
        "say again",
        "(repeat|say) that once more",
        "could you repeat that",
        "i did not (hear|understand|catch|get) (that|you)",
    ),
    "Yes": (
        "(yes|yeah|yep|yup|sure|of course|correct|exactly|right|ok|okay|do it|go ahead|go on|yes do|that is "
        "right|absolutely|"
        "definitely|certainly|please do|indeed) [please|do it|do that|thanks]",
    ),
    "No": (
        "(no|nope|nah|no way|not now|do not|do not do it|no thanks|no thank you|never mind|nevermind|forget "
        "it|cancel|cancel "
        "that|leave it|neither|none of them) [please|thanks|thank you|do not]",
        "(never mind (it|that)|call (it|that) off|scratch that) [please|thanks|thank you]",
    ),
    "Undo": (
        "undo [that|it|this|the last one|what you did]",
        "(take|put) (that|it) back",
        "reverse that",
        "revert that",
        "change (it|that) back",
        "put it back [the way it was|as it was]",
    ),
    "Other": (
        "[no] [not that one] [i mean|i meant] the other [one|ones]",
        "not that one",
        "no not that one",
        "wrong one",
    ),
    "Same": (
        "[and] [do] the same [thing] (in|for|with|on|to) [the] {name}",
        "(and|what about|how about|now|also) [in|for|on] [the] {name} [too|as well|also]",
        "[in|for] [the] {name} (too|as well|also)",
        "do that (in|for|with|on) [the] {name} [too|as well]",
    ),
    "Rather": ("no [i (mean|meant)] [in|for|on] [the] {name}",),
    "ListAdd": (
        f"{_ADD} [down] {{item}} (to|on|onto|in|into|down on|on to) [the|my|our|a|his|her] {{list}}",
        f"{_ADD} (to|on|onto|in) [the|my|our] {{list}} {{item}}",
    ),
    "ListNeed": (
        "(we|i) (need|need some|want|need more|want some) {item} (from|at) the (shop|store|supermarket|market)",
        "(we are|i am|we have run|i have run|we ran|i ran) out of {item}",
    ),
    "ListTick": (
        f"{_TICK} (off|out) {{item}} (from|on|off|of|in) [the|my|our] {{list}}",
        f"{_TICK} {{item}} [off|out|done|as done] (from|on|off|of|in) [the|my|our] {{list}}",
    ),
    "ListRemove": (f"{_OFF} {{item}} (from|off|off of|out of|on|in) [the|my|our] {{list}}",),
    "ListClear": (
        "(clear|empty|wipe|erase|reset) [off|out] [everything (from|on)] [the|my|our|all of my|all my] "
        "{list} [clean]",
        "(remove|delete|take) (everything|all items|all the items|all of the items|all) (from|off|on) [the|"
        "my|our] {list}",
    ),
    "ListQuery": (
        "what (is|are|do i have|have i got|have i|do we have|is still|else is|else do i have) [left] "
        "[written] (on|in) [the|my|our] {list}",
        "(read|show|give|tell|list|display|open|check|bring up|pull up|see) [me] [back|out|what is on|the "
        "(items|things) on|all (items|things) on] [the|my|our] {list} [to me|aloud|out loud|out|back to me|"
        "back]",
        "do (i|we) have (anything|something|any items|any things) on [the|my|our] {list}",
        "(is|are) there (anything|something|any items) on [the|my|our] {list}",
        "tell me what i have on [the|my|our] {list}",
        "(what|which) {list} (are|do i have|do we have|have i got|have we got) [there|left|still|still to do|to do|"
        "open]",
        "(what|which) {list} (need|needs) (doing|to be done)",
        "what (items|things) (are|do i have) on [the|my|our] {list}",
        "what are the (items|things) on [the|my|our] {list}",
        "what does [the|my|our] {list} (say|contain|have on it)",
    ),
    "ListShop": (
        "what (do|should|shall) (i|we) [still] (need|want|have|get|buy|pick up) [to (buy|get|pick up)] (from|at|in) "
        "the (shop|shops|store|supermarket|market)",
        "what (do|should|shall) (i|we) [still] (need|have) to (buy|get|pick up)",
        "what (am i|are we) [running] (short of|out of|low on)",
        "what (should|shall|do) (i|we) (buy|get) [today]",
        "what [else] (do|did) (i|we) (need|want) to (buy|get|shop for)",
        "what (is|else is) missing from the (cupboard|pantry|fridge|larder)",
        "what (groceries|shopping|food) (do|did) (i|we) need",
    ),
    "ListCount": (
        "how many (items|things|tasks|entries) (are|are there|do i have) [left] on [the|my|our] {list}",
    ),
    "ListHas": (
        "(is|are) [there] {item} [already|still] on [the|my|our] {list}",
        "(do|did) (i|we) (have|put|write) [any] {item} [down] on [the|my|our] {list}",
        "(have|has) (i|we|somebody|someone) [got|put] [any] {item} [down] on [the|my|our] {list}",
    ),
    "ListPut": ("{item} (on|onto|to) [the|my|our] {list}",),
    "TickAny": (
        f"{_TICK} (off|out) {{item}}",
        f"{_TICK} {{item}} (off|done|as done|as completed|as complete|as finished|as bought|completed)",
        "{item} (is|are) (done|finished|completed|bought|ticked off)",
    ),
    "ListWanted": (
        "(do|did) (i|we) (need|want|still need) [any|some|more|any more] {item} [from the shop|from the shops]",
        "(are we|am i) [running] (low on|out of|short of) {item}",
        "have (i|we) run out of {item}",
    ),
    "ListLists": (
        "what lists (do i have|are there|have i|have i got)",
        "what are my lists",
        "(show|read|list) [me] [all] [of] my lists",
        "which lists (do i have|are there)",
        "tell me what lists i have",
    ),
    "TimerByName": (
        "(start|begin|run|set off|set going|kick off) [the|my|our] timer",
        "(start|begin|run|set off|set going|kick off|restart) [the|my|our] {name} timer",
        "(set|put|switch|turn) [the|my|our] {name} timer (going|on|running)",
        "(set|put|switch|turn) on [the|my|our] {name} timer",
        "[the|my|our] {name} timer on",
        "(carry on with|continue|resume|unpause) [the|my|our] {name} timer",
    ),
    "Remind": (
        "remind me (to|about|of|that|for) {text}",
        "remind me {text}",
        "(set|set up|create|make|add|give me|start|put) [up] [a|an] [new] reminder [for me] (to|for|about|"
        "that|of|saying) {text}",
        "(set|set up|create|make|add|give me) [up] [a|an] [new] {text} reminder",
        "i need (a reminder|to be reminded|reminding) (to|about|of|that|for) {text}",
        "(do not let me|make sure i do not|do not|never let me) forget (to|about|that) {text}",
        "do not forget to remind me (to|of|about|that) {text}",
        "reminder (to|for|about|that) {text}",
    ),
    "RemindBare": (
        "remind me",
        "(set|create|make|add) [a|an] [new] reminder",
        "remind me (about|of) (this|that|it)",
        "i need (a reminder|to be reminded)",
        "be sure to remind me [of (this|that)]",
    ),
    "RemindOther": ("remind {who:word} (to|about|of|that) {text}",),
    "Alarm": (
        "wake me [up]",
        "wake us [up]",
        "i want to (wake up|be woken up|get up)",
        "i (have|need) to (wake up|be up|get up)",
        "(set|set up|create|make|start|put on|put|turn on|add|schedule) [up] [a|an|my|the|another] [new|wake "
        "up|morning] alarm "
        "[clock] [to wake me up|to wake up|to get up]",
        "alarm [set]",
        "[a] wake up (call|alarm)",
        "(set|give me|i would like|i want|i need) [a|an|the] (wake up call|wake up alarm|alarm)",
        "wake up",
    ),
    "AlarmNamed": (
        "(set|create|make|add) [up] [a|an|my|the] alarm (called|named|labelled|labeled) {text}",
        "(set|create|make|add) [up] [a|an|my|the] {text} alarm",
    ),
    "AlarmQuery": (
        "what alarms (do i have|are set|have i set|are there|are upcoming) [set]",
        "do i have (an alarm|any alarms) [set]",
        "(when|what time) is (my|the) [next|morning|wakeup|wake up] alarm [set for|set]",
        "(show|list|tell) [me] [all] my alarms",
        "is (my|an|the) alarm (set|on)",
    ),
    "AlarmCancel": (
        "(cancel|delete|remove|stop|turn off|get rid of|clear|disable|erase) [the|my|all|any|all my|all of "
        "my|all the|every] alarm[s] "
        "[that i have set|i have set|set]",
    ),
    "CalendarStated": (
        f"{{event}} {_PUT_IN} (it|that|this) [down] (in|on|into|onto|to) [the|my|our] {_DIARY}",
        f"(in|on|to|into) [the|my|our] {_DIARY} {_PUT_IN} [down] {{event}}",
        f"{_PUT_IN} [down] (in|on|to|into) [the|my|our] {_DIARY} {{event}}",
        f"make a note (in|on) [the|my|our] {_DIARY} [that|about|of] {{event}}",
    ),
    "CalendarAdd": (
        f"{_EVENT} [a|an|the|my] [new] {{event}} (to|on|in|into|onto|for) [the|my|our] {{calendar}} calendar",
        f"{_EVENT} [a|an|the|my] [new] {{event}} (to|on|in|into|onto|for) [the|my|our] (calendar|schedule|"
        "agenda|diary)",
        f"{_EVENT} (to|on|in|into|onto) [the|my|our] (calendar|schedule|agenda|diary) [a|an|the|my] {{event}}",
        "(mark|block|block off) [off] [the|my|our] (calendar|schedule|agenda|diary) (for|with) [a|an|the|my] {event}",
        "(schedule|book|arrange|plan|set up|create|make|add|set) [me] [a|an|the|my] [new] (event|calendar "
        "event|appointment) "
        "(called|named|titled|for|about) [a|an|the|my] {event}",
        "(schedule|book|arrange|plan|set up) [me] [a|an|the|my] {event}",
        "(add|create|set|make) [a|an|the|my] [new] [event] {event:word} (appointment|meeting|event)",
        "add [the] event {event}",
    ),
    "CalendarQuery": (
        "what (is|do i have|have i got|have i|do we have|is there) (on|in) [the|my|our] (calendar|schedule|"
        "agenda|diary)",
        "what (is|does) (my|our|the) (calendar|schedule|agenda|diary|day|week|morning|afternoon|evening) "
        "[look] [like]",
        "what (do i have|have i got|do we have|is) (planned|scheduled|going|going on|coming up|to do|on|happening)",
        "what do (i|we) have",
        "what am i doing",
        "what are (my|our) plans",
        "what (is|are) my (plans|appointments|meetings|events)",
        "(do i|do we|have i|have we) (have|got) (anything|something|any plans|any appointments|any meetings|"
        "any events|an appointment|a "
        "meeting|any calendar events|any appointment|any meeting|meetings|appointments|plans|events|any "
        "upcoming events|anywhere to be) "
        "[planned|scheduled|going|going on|coming up|on|to do|to be|set up|in my calendar|on my "
        "calendar|on my schedule]",
        "(show|tell|read|give|list|check|open) [me] [about] [all] [of] [the|my|our] [upcoming] (calendar|"
        "schedule|agenda|diary|appointments|"
        "meetings|events|calendar events) [to me|aloud]",
        "(show|tell|read) [me] what is on [the|my|our] (calendar|schedule|agenda|diary)",
        "what (events|meetings|appointments) (do i have|are there|are|have i got|are on) [coming up|planned|"
        "scheduled|in my calendar|on my "
        "calendar|my calendar]",
        "(is|are) there (anything|any events|any meetings|any appointments|something) [planned|scheduled|"
        "going on] [on|in] [my|the|our] "
        "[calendar|schedule|agenda]",
        "am i (busy|free|available)",
        "are we (busy|free)",
        "how many (meetings|appointments|events) do i have",
    ),
    "CalendarNext": (
        "(what|when) is (my|the|our) next (appointment|meeting|event|thing) [on (my|the|our) (calendar|schedule)]",
        "what is next on (my|the|our) (calendar|schedule|agenda)",
        "what (time|day) is (my|the|our) next (appointment|meeting|event)",
        "(what|when) is the next (appointment|meeting|event) [on (my|the|our) calendar]",
    ),
    "CalendarWhen": ("(when|what time|what day) is [my|the|our] {event} [scheduled|on my calendar|at]",),
    "CalendarRemove": (
        "(cancel|delete|remove|erase|drop|take) [my|the|our] {event} (from|off|on|in|out of) [my|the|our] "
        "(calendar|schedule|agenda|diary)",
        "(cancel|delete|remove|erase|call off) [my|the|our] {event}",
    ),
    "CalendarClear": (
        "(clear|wipe|empty|erase|delete|cancel) [out] [all] [of] [my|the|our] [entire|whole] (calendar|"
        "schedule|agenda|diary) [clean]",
        "(delete|remove|cancel|clear) (all|all of|every|everything) [my|the|of my|of the] [calendar] [events|"
        "event|meetings|appointments] "
        "(from|on|off|in) [my|the|our] (calendar|schedule|agenda|diary)",
        "(delete|remove|cancel|clear) all [of] [my|the] [calendar] (events|meetings|appointments)",
    ),
    "Message": (
        "(send|write) [a|an] (message|text|text message|note) to {who} (saying|that says|that|telling them|"
        "to say|which says) {text}",
        "(send|write) {who} [a|an] (message|text|text message|note) (saying|that says|that|to say|which says) {text}",
        "(tell|inform) {who} [that] {text}",
        "let {who} know [that] {text}",
        "(text|message) {who} [that|saying] {text}",
    ),
    "MessageBare": (
        "(send|write) [a|an] (message|text|text message) [to {who}]",
        "(text|message) {who}",
        "(call|phone|ring|dial) {who}",
    ),
    "Say": (
        "(say|announce|shout|speak) {text} (in|to) [the] {area}",
        "(say|announce|shout) [that] {text} [out loud|aloud]",
        "(make|give) an announcement [that|saying] {text}",
        "(tell|let) everyone [know] [that] {text}",
    ),
    "Read": (
        "read (this|that|it|the letter|this letter|my letter|the mail|my mail|this mail|the page|this page|"
        "the label|this "
        "label|the text) [to me|aloud|out|out loud|for me]",
        "what does (this|that|it|the letter|this letter|the page|this page|the label|this label|this paper|"
        "my mail) say",
        "what is written (here|there|on this|on it|on the letter)",
        "read me (this|that|the letter|this letter|my letter|the mail|my mail|this page|this)",
    ),
    "Remember": (
        "remember that {text}",
        "(note|note down|make a note|take a note|write down|jot down|take note|keep in mind) [that|of] {text}",
        "remember [that] (my|the|i|our|where) {text}",
        "i (put|left|placed|am leaving|have put) [my|the] {thing} (in|on|under|behind|at|next to|inside) {place}",
    ),
    "Recall": (
        "what do you (remember|know) (about|of) {thing}",
        "what did i (say|tell you) about {thing}",
        "do you remember {thing}",
        "(read|show|list|tell) [me] [all] [of] my notes",
        "what are my notes",
        "what (is|was) in my notes",
    ),
    "Forget": ("forget (that|about|what i said about|everything about) {thing}", "forget {thing}"),
    "Where": (
        "where (is|are) [my|the|our] {thing}",
        "where did i (put|leave|see) [my|the|our] {thing}",
        "(find|locate|look for) my {thing}",
        "have you seen [my|the|our] {thing}",
        "i (can not find|lost|have lost) [my|the|our] {thing}",
    ),
    "Game": (
        "play {thing} [game] with me",
        "play [a|the|some|another|my] [{kind}] (game|games|quiz|trivia|chess|checkers|poker|solitaire)",
    ),
}

__all__ = ["SENTENCES"]
