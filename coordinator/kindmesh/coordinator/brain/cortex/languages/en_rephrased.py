"""English: sentences in other words, each with what it is in words that the grammars know; see `rephrase`."""

from __future__ import annotations

from typing import Final

_PUT: Final = "(add|put|stick|pop|jot|write|chuck|bung|get|note|stuff|whack|throw|shove)"
_ADD_THEM: Final = f"[so|and] {_PUT} (it|them|that|some|those|em|more) [down] (on|to|onto|in) [the|my|our]"
_HAVE_GOT: Final = (
    "[i have|i|we have|we] [just|already] (got|bought|picked up|fetched|found|done|did|finished|sorted|ordered) "
    "[the|some|a|an|all the|my]"
)
_CROSS_THEM: Final = "[so|and] (cross|tick|check|strike|mark|scratch|knock|take) (it|them|that|those|em) off"

REPHRASED: Final[dict[str, tuple[str, ...]]] = {
    "rephrased_first": (
        "(we|i) (are|am|have|must be) [nearly|almost|all|just|clean] [run|running] (out of|low on|short of) "
        f"{{item}} {_ADD_THEM} {{list}} => add {{item}} to the {{list}}",
        f"(we|i) [really|also] (need|want|require|could do with) {{item}} {_ADD_THEM} {{list}} => "
        "add {item} to the {list}",
        f"there (is|are) no [more] {{item}} [left] {_ADD_THEM} {{list}} => add {{item}} to the {{list}}",
        f"{_HAVE_GOT} {{item}} {_CROSS_THEM} [of|from] [the|my|our] {{list}} => tick {{item}} off the {{list}}",
        f"{_HAVE_GOT} {{item}} {_CROSS_THEM} => tick off {{item}}",
        "give [the|my] {thing} {n:word} more {unit:word} => add {n} {unit} to the {thing} timer",
        "give [the|my] {thing} another {n:word} {unit:word} => add {n} {unit} to the {thing} timer",
        "[make|turn|set|get] {thing} [a] [bit|little|touch|tad] (brighter|dimmer|darker) "
        "(say|about|maybe|like|to) {n:word} (percent|%) => set {thing} to {n} percent",
        "{thing} on [now|please] and [then] off again in {length} => turn on {thing} for {length}",
        "(turn|switch|put) on {thing} [now] and [then] off again in {length} => turn on {thing} for {length}",
        "{item} (is|are|has been|have been) (done|bought|in|finished|sorted|fetched) [so|and] "
        "(take|cross|tick|strike|check|knock) (it|them|that|those|em) off [the list] => tick off {item}",
        "(note|jot|write|put) [down] {item} for the (shopping|shops|shop) => add {item} to the shopping list",
        "how (long|much longer) (till|until|before) [the|my] {thing} (is|are) (done|ready|finished|cooked|up|due) => "
        "how long is left on the {thing} timer",
        "how (long|much time) (has|have|does|do) [the|my] {thing} (got|have) [left|to go] => "
        "how long is left on the {thing} timer",
        "how long is left (on|for) [the|my] {thing:word} => how long is left on the {thing} timer",
    ),
    "rephrased": (
        "(i|we) [have] [just] (finished|done|bought|got|picked up) [the|some|all the|my] {item} => tick off {item}",
        "wake [up] [the] {thing} => turn on the {thing}",
        "run [the|my] {thing} => turn on the {thing}",
        "leave [the|my] {thing} running => turn on the {thing}",
    ),
    "choice_words": ("one", "ones", "please", "i", "mean", "meant", "is", "that", "then", "just", "only"),
    "choice_all": (
        "all", "all of them", "all of those", "every one", "every one of them", "all three", "all four", "both",
        "both of them", "both please", "all please", "the lot",
    ),
    "choice_order": ("first former", "second", "third", "fourth"),
    "choice_last": ("last", "latter"),
    "choice_other": ("other",),
    "choice_ends": ("one", "ones"),
    "arming": ("set", "arm", "activate", "enable"),
    "arm": ("arm",),
    "list_add": ("add", "to"),
    "condition_if": ("if",),
    "condition_then": ("then", "please", "just"),
    "if_not": ("if", "not"),
    "reaches": (
        "turn on:on", "switch on:on", "put on:on", "turn off:off", "switch off:off", "lock:locked", "close:closed",
        "shut:shut", "close:shut", "shut:closed", "start:running", "start:on", "turn on:running", "switch on:running",
        "open:open", "unlock:unlocked",
    ),
    "done_after": ("after",),
    "done_before": ("before",),
    "not_ours_i": ("you",),
    "correcting": ("no", "sorry", "wait"),
    "correcting_more": ("no", "wait", "sorry", "rather", "make", "that"),
    "and_off": ("then off", "and then off", "and off", "then off again", "and then off again"),
    "giving": ("give",),
    "given_timer": ("set the {thing} timer for {length}", "turn on the {thing} for {length}"),
    "given": ("turn on the {thing} for {length}",),
}  # fmt: skip

__all__ = ["REPHRASED"]
