"""What this device's capabilities count as having been given (`kept_labels`), told to the coordinator; and the owner's
way back, by their own signature (`protocol.label_reset`), whoever brings it.

A reset is refused when it is of somebody else, for another device, too old, was used, or when the label is another one
by now: then something was put in since the owner looked. It is refused while the capability does something that may
put more in, too. It is on the disk, and in the audit log, before it is answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from kindmesh.mesh.audit import AuditLog
from kindmesh.mesh.clock import Clock
from kindmesh.mesh.trust import Trust
from kindmesh.node.kept_labels import KeptLabels
from kindmesh.protocol.codec import encode
from kindmesh.protocol.errors import Busy, InvalidInput, PermitExpired, PermitMismatch, WrongDestination
from kindmesh.protocol.label_reset import LABEL_RESET_FRESH_MS, open_label_reset
from kindmesh.protocol.limits import CLOCK_SKEW_MS
from kindmesh.protocol.signed import signed_from_bytes

_AGAIN: Final = "Look again: kindmesh provenance show."


class LabelResets:
    """See the module. `busy`: operations under way on this device."""

    def __init__(
        self,
        kept: KeptLabels,
        trust: Trust,
        audit: AuditLog,
        clock: Clock,
        busy: Callable[[], Iterable[str]],
    ) -> None:
        self._kept = kept
        self._trust = trust
        self._audit = audit
        self._clock = clock
        self._busy = busy

    def calls(self) -> dict[str, Callable[[Any], Any]]:
        """What the coordinator can ask in a session."""
        return {"mesh.labels": self.show, "mesh.labels_reset": self.reset}

    def show(self, params: Any) -> dict[str, Any]:
        """All kept labels: capability, encoded `Carried`, and when it was reset last (UTC ms, 0: never)."""
        return {
            "labels": [
                {"capability": name, "label": encode(label), "reset_ms": reset_ms}
                for name, label, reset_ms in self._kept.all()
            ]
        }

    def reset(self, params: Any) -> dict[str, Any]:
        """Take the owner's word: `{"reset": signed bytes}`.

        Raises:
            BadSignature, CertificateRefused, Malformed: no owner of this mesh signed it.
            WrongDestination: for another device. InvalidInput: nothing is known of that capability.
            PermitExpired: too old, or used. PermitMismatch: another label by now. Busy: something is under way.
            DiskFull, StoreError: it could not be written, and nothing changed.
        """
        data = params.get("reset") if isinstance(params, dict) else None
        if not isinstance(data, bytes):
            raise InvalidInput("the owner's signed word is missing", field="reset")
        signed = signed_from_bytes(data)
        wanted = open_label_reset(signed, self._trust.membership.anchors.owner_pub(signed.author))
        now_ms, capability = self._clock.now_ms(), wanted.capability
        if (wanted.mesh, wanted.device) != (self._trust.mesh, self._trust.certificate.subject):
            raise WrongDestination("this was signed for another device")
        if not -CLOCK_SKEW_MS <= now_ms - wanted.issued_ms <= LABEL_RESET_FRESH_MS:
            raise PermitExpired("this was signed too long ago, or in the future", hint=_AGAIN)
        known = {name: (label, reset_ms) for name, label, reset_ms in self._kept.all()}
        if capability not in known:
            raise InvalidInput(
                f"nothing is known of {capability[:40]!r} here", field="capability", hint=_AGAIN
            )
        label, reset_ms = known[capability]
        if wanted.issued_ms <= reset_ms:
            raise PermitExpired("this was used before", hint=_AGAIN)
        if wanted.label != label:
            raise PermitMismatch("something else was put into it since this was signed", hint=_AGAIN)
        if any(name.partition(".")[0] == capability for name in self._busy()):
            raise Busy(f"{capability} is doing something just now", hint="Try again in a moment.")
        self._kept.reset(
            capability, wanted.issued_ms, before_commit=lambda: self._note(signed.author, capability)
        )
        return {"capability": capability, "label": encode(self._kept.carried(capability))}

    def _note(self, owner: bytes, capability: str) -> None:
        self._audit.note("labels", "reset", target=owner, operation=capability)


__all__ = ["LabelResets"]
