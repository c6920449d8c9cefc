"""What people's programs can ask of the coordinator: one table of methods, for its own socket and for other devices.

    status nodes capabilities doctor watch clock            how things are                  `status_desk`
    submit call explain jobs job cancel                     having something done           `work_desk`
    approvals approve decisions                             the owner's yes                 `work_desk`
    jobs.settle .dead .redeliver .dismiss drain             jobs that are stuck             `job_desk`
    pair.* readmit.* revoke release rotate raise.answer policy policy.set     trust         `trust_desk`
    stop                                                    halting everything              `halting`
    audit.rows .heads .accept                               the audit logs                  `audit_service`
    people people.* delegate undelegate                     people                          `people`
    events events.topics .emit                              what happens                    `event_desk`
    artifact.put_begin .put_append .put_finish .read        files                           `file_desk`
    labels labels.reset                                     what devices keep counts as     `labels_desk`
    stream.permit .open .write .read .cancel                streams                         `stream_desk`

Here is only the table, and what may be asked from where. Whoever runs this machine is the owner and sees all. A
member's node passes its users' calls on as signed REQUESTs, and is another principal: it sees, cancels and reads the
files of its own jobs only, and pairing windows (`LOCAL_ONLY`) are not for it. `approve`, `revoke` and `policy.set`
carry their own authority, the owner's signature, so it does not matter who brings them; `stop` is everybody's. `params`
are plain data and are checked by each method, field by field.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from kindmesh.coordinator.params import Params
from kindmesh.protocol.errors import AccessRefused, InternalError, InvalidInput
from kindmesh.protocol.principal import Principal

Emit = Callable[[Any], None]
Method = Callable[[Params, Emit, Principal], Awaitable[Any]]
"""Takes the parameters, where events go, and who asks (the principal)."""

LOCAL_ONLY: Final = frozenset(
    {
        "artifact.put_begin",
        "artifact.put_append",
        "artifact.put_finish",
        "audit.accept",
        "audit.heads",
        "audit.rows",
        "events",
        "events.emit",
        "labels",
        "labels.reset",
        "pair.answer",
        "pair.challenge",
        "pair.open",
        "pair.waiting",
        "raise.answer",
        "rotate",
        "readmit.answer",
        "readmit.waiting",
        "people.invite",
        "people.terms",
        "people.withdraw",
        "stream.cancel",
        "stream.open",
        "stream.read",
        "stream.write",
        "watch",
    }
)


class Api:
    """See the module; holds no state of its own."""

    def __init__(self) -> None:
        self.methods: dict[str, Method] = {}

    def add(self, methods: dict[str, Method]) -> None:
        """Further methods, from the parts that own them.

        Raises:
            InternalError: a name is given twice; a bug.
        """
        if twice := methods.keys() & self.methods.keys():
            raise InternalError(f"methods given twice: {', '.join(sorted(twice))}")
        self.methods.update(methods)


def find(methods: dict[str, Method], name: str, *, local: bool) -> Method:
    """The method, or why not.

    Raises:
        InvalidInput: there is none.
        AccessRefused: it only works on the coordinator's own machine.
    """
    method = methods.get(name)
    if method is None:
        raise InvalidInput(f"the coordinator has no method {name[:40]!r}", field="method")
    if not local and name in LOCAL_ONLY:
        raise AccessRefused(f"{name} works on the coordinator's own device only", field="method")
    return method


__all__ = ["LOCAL_ONLY", "Api", "Emit", "Method", "find"]
