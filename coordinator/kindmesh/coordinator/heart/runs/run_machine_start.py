"""How the items of a run begin: what each kind of step asks for. See `run_machine`.

A step begins when everything before it is done; it is skipped when its condition is false, or when it needs what a
skipped step would have given. What cannot be evaluated fails the item, and so the run.
"""

from __future__ import annotations

from typing import Any, Final

from kindmesh.coordinator.heart.runs.run_machine_items import Run, child, index_of, trouble_of
from kindmesh.coordinator.heart.runs.run_words import UNDO, Item, Listen, Recall, Spawn, Submit, Trouble
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.limits import ARGUMENTS_MAX, PLAN_MAX, PLAN_WAIT_MAX_MS
from kindmesh.protocol.plan import ForEach, Memo, Pause, Step, Sub
from kindmesh.protocol.plan_check import written_plan
from kindmesh.protocol.plan_labels import Traced, gather
from kindmesh.protocol.plan_values import evaluate, truth, weigh
from kindmesh.protocol.utterance_evidence import argument_labels, argument_sources

QUESTION_MAX: Final = 4_096


def until(run: Run, step: Step, now_ms: int) -> int:
    """When a step that begins now has to have ended, 0: whenever."""
    times = [run.until_ms, now_ms + step.deadline_ms if step.deadline_ms else 0]
    return min((time for time in times if time), default=0)


def begin_step(run: Run, step: Step, now_ms: int) -> Trouble | None:
    """Begin or skip a step that is due; why it failed, if it did."""
    if run.lacks(step):
        run.close(run.put(step.id, step.id, "running", now_ms), "skipped", now_ms)
        return None
    item = run.put(step.id, step.id, "running", now_ms, until(run, step, now_ms))
    try:
        if not truth(step.when, run.scope(step.id), f"steps.{step.id}.when"):
            run.close(item, "skipped", now_ms)
            return None
        if step.while_ is not None:
            run.set(item, "repeating")
            return None
        if step.for_each is not None:
            return _begin_each(run, item, step.for_each)
        return begin_item(run, item, now_ms)
    except InvalidInput as error:
        return trouble_of(error)


def _begin_each(run: Run, item: Item, each: ForEach) -> Trouble | None:
    where = f"steps.{item.step}.for_each.over"
    over = evaluate(each.over, run.scope(item.step), where)
    if not isinstance(over.value, list):
        return Trouble("INVALID_INPUT", "for_each needs a list", "", where)
    if len(over.value) > each.most:
        hint = "Raise most, up to 1000, or make the list shorter."
        return Trouble(
            "INVALID_INPUT", f"{len(over.value)} items, at most {each.most} are allowed", hint, where
        )
    item.given = over
    run.set(item, "repeating")
    return None


def begin_iteration(run: Run, base: Item, now_ms: int) -> tuple[Item, Trouble | None]:
    """The next iteration of a step that repeats."""
    item = run.put(child(base.step, base.iterations), base.step, "running", now_ms, base.until_ms)
    base.iterations += 1
    run.changed.add(base.path)
    try:
        return item, begin_item(run, item, now_ms)
    except InvalidInput as error:
        return item, trouble_of(error)


def begin_item(run: Run, item: Item, now_ms: int) -> Trouble | None:
    """What the kind of its step asks for.

    Raises:
        InvalidInput: a value of it cannot be evaluated.
    """
    step = run.steps[item.step]
    scope = run.scope(item.step, index_of(item.path))
    where = f"steps.{step.id}"
    if step.call:
        item.given = _traced(call_args(step, scope), scope, step)
        if step.memo is None:
            run.out.append(submit(run, item))
        else:
            run.set(item, "recalling")
            run.out.append(recall(run, item, step.memo))
    elif step.ask is not None:
        item.given = evaluate(step.ask.question, scope, f"{where}.ask.question")
        if not isinstance(item.given.value, str) or not 0 < len(item.given.value) <= QUESTION_MAX:
            return Trouble(
                "INVALID_INPUT", f"a question is text of 1 to {QUESTION_MAX} characters", "", where
            )
        run.set(item, "asking")
    elif step.event is not None:
        run.set(item, "listening")
        run.out.append(Listen(item.path, step.event.topic))
    elif step.pause is not None:
        item.due_ms = _pause(step.id, step.pause, scope, now_ms)
        run.set(item, "pausing")
    if step.sub is not None:
        run.out.append(spawn(run, item, step.sub))
    return None


def call_args(step: Step, scope: dict[str, Traced]) -> Traced:
    """The arguments of a call, evaluated.

    Raises:
        InvalidInput: they are not named values, or too much.
    """
    where = f"steps.{step.id}.args"
    args = evaluate(step.args, scope, where)
    if not isinstance(args.value, dict):
        raise InvalidInput("the values of a call are named", field=where)
    weigh(args.value, ARGUMENTS_MAX, where)
    return args


def _traced(args: Traced, scope: dict[str, Traced], step: Step) -> Traced:
    """Where what a call is given came from, without the values themselves."""
    target = evaluate(step.target, scope, f"steps.{step.id}.target")
    if not isinstance(target.value, str):
        raise InvalidInput("a target is a device's name or id", field=f"steps.{step.id}.target")
    return Traced(None, *gather((args, target)))


def _pause(name: str, pause: Pause, scope: dict[str, Traced], now_ms: int) -> int:
    for_ms = evaluate(pause.for_ms, scope, f"steps.{name}.pause.for_ms").value
    until_ms = evaluate(pause.until_ms, scope, f"steps.{name}.pause.until_ms").value
    given: Any = until_ms if for_ms is None else for_ms
    if isinstance(given, bool) or not isinstance(given, int):
        raise InvalidInput("a time is a whole number of milliseconds", field=f"steps.{name}.pause")
    end_ms: int = given if for_ms is None else now_ms + given
    if end_ms > now_ms + PLAN_WAIT_MAX_MS:
        raise InvalidInput("a pause is at most 31 days", field=f"steps.{name}.pause")
    return max(end_ms, now_ms)


def submit(run: Run, item: Item) -> Submit:
    """What an item of a call asks for now; the same again as long as nothing has come of it."""
    step = run.steps[item.step]
    scope = run.scope(item.step, index_of(item.path.removeprefix(UNDO)))
    number = list(run.steps).index(step.id) + 1
    undo = step.compensate if item.path.startswith(UNDO) else None
    if undo is not None:
        scope["self"] = scope[step.id] = run.items[item.path.removeprefix(UNDO)].output or Traced(None)
        where = f"steps.{step.id}.compensate"
        args = evaluate(undo.args, scope, f"{where}.args").value
        target = evaluate(undo.target, scope, f"{where}.target").value
        if not isinstance(args, dict) or not isinstance(target, str):
            raise InvalidInput("the values of a call are named, its target is text", field=where)
        weigh(args, ARGUMENTS_MAX, where)
        labels = argument_labels(undo.args, scope, f"{where}.args")
        return Submit(item.path, item.attempt, undo.call, args, target, number, 0, labels=labels)
    args = call_args(step, scope).value
    target = evaluate(step.target, scope, f"steps.{step.id}.target").value
    labels = argument_labels(step.args, scope, f"steps.{step.id}.args")
    return Submit(
        item.path, item.attempt, step.call, args, target, number, item.until_ms,
        labels=labels, sources=argument_sources(step.args),
    )  # fmt: skip


def recall(run: Run, item: Item, memo: Memo) -> Recall:
    """What an item with a memo asks for first."""
    return Recall(item.path, run.steps[item.step].call, memo_key(run, item, memo), memo.max_age_ms)


def memo_key(run: Run, item: Item, memo: Memo) -> Any:
    """Under which key the output of an item is remembered: what the plan says, else the arguments and the target."""
    step = run.steps[item.step]
    scope = run.scope(item.step, index_of(item.path))
    if memo.key is not None:
        key = evaluate(memo.key, scope, f"steps.{step.id}.memo.key").value
        weigh(key, ARGUMENTS_MAX, f"steps.{step.id}.memo.key")
        return [key]
    target = evaluate(step.target, scope, f"steps.{step.id}.target").value
    return [call_args(step, scope).value, target]


def spawn(run: Run, item: Item, sub: Sub) -> Spawn:
    """What an item of a sub-plan asks for now."""
    scope = run.scope(item.step, index_of(item.path))
    where = f"steps.{item.step}.sub"
    inputs = evaluate(sub.inputs, scope, f"{where}.inputs")
    plan = Traced(written_plan(sub.plan))
    if plan.value is None:
        plan = evaluate(sub.plan, scope, f"{where}.plan")
    if not isinstance(plan.value, dict):
        raise InvalidInput("there is no plan in that value", field=f"{where}.plan")
    weigh(plan.value, PLAN_MAX, f"{where}.plan")
    weigh(inputs.value, ARGUMENTS_MAX, f"{where}.inputs")
    item.given = Traced(None, *gather((plan, inputs)))
    return Spawn(item.path, item.attempt, plan.value, inputs.value, item.until_ms, run.led_to(item.step))


__all__ = [
    "QUESTION_MAX", "begin_item", "begin_iteration", "begin_step", "memo_key", "recall", "spawn", "submit", "until",
]  # fmt: skip
