"""What happens in the demo, in order.

Three devices, each a process group with an identity and a state folder of its own: `desk` (coordinator with Medulla,
can read), `phone` (has the letter, can speak), `kitchen` (can speak). They are paired by the real enrolment; the letter
is put on the phone as an artifact; then, as people would type it on the phone and at the desk:

    phone: vision.read_text image=LETTER     desk: speech.render text=...     desk: speech.say audio=...

While the rendering device's journal shows INTENT and no RESULT it is killed (`kill -9`): the device tells its watchers
of the INTENT right after the commit, and that message is the trigger; what the dead journal says is read afterwards.
Nothing here sleeps, and nothing takes a way that a user could not take.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from kindmesh.coordinator.cli.local import connect, download, upload
from kindmesh.coordinator.cli.output import sentence
from kindmesh.coordinator.cli.qr import save as save_picture
from kindmesh.coordinator.lab.device import Device
from kindmesh.coordinator.lab.mesh import Lab, watching
from kindmesh.mesh.control_client import ControlClient
from kindmesh.node.journal import look_up_job
from kindmesh.protocol.errors import InternalError, InvalidInput, KindmeshError
from kindmesh.protocol.ids import parse_time_id

SAY: Final = "read this letter aloud"
OFFERS: Final = {
    "desk": "device,notes,vision",
    "phone": "device,notes,speech",
    "kitchen": "device,speech",
}
PATIENCE_S: Final = 60.0


class Told(msgspec.Struct):
    """All that the demo saw; `kill` and `recovery` are filled when they happened."""

    devices: list[dict[str, Any]] = []
    invitation: str = ""
    invitation_png: str = ""
    text: str = ""
    jobs: list[dict[str, Any]] = []
    kill: dict[str, Any] = {}
    recovery: dict[str, Any] = {}
    wav: dict[str, Any] = {}
    spoken: dict[str, Any] = {}
    isolation: str = ""
    seconds: dict[str, float] = {}


class Story:
    """One run. `say` gets a line for people, `show` the lines of the QR code; files go to `out`."""

    def __init__(
        self, image: Path, out: Path, say: Callable[[str], None], show: Callable[[str], None]
    ) -> None:
        if not image.is_file():
            raise InvalidInput(
                f"{image} is no file", field="image", hint="Give the photo of a letter: --image PATH."
            )
        self.told = Told()
        self._image = image.resolve()
        self._out = out.resolve()
        self._say = say
        self._show = show
        self._begun = time.monotonic()

    async def run(self) -> Told:
        """Run it.

        Raises:
            KindmeshError: what went wrong; nothing is left running.
        """
        self._out.mkdir(parents=True, exist_ok=True)
        root = Path(tempfile.mkdtemp(prefix="kindmesh-demo-"))
        try:
            async with Lab(root) as lab:
                await self._gather(lab)
                await self._read_aloud(lab)
                await self._return(lab)
                self.told.devices = lab.ask("nodes")
                self.told.isolation = lab.ask("status")["medulla"]["isolation"]
        finally:
            shutil.rmtree(root, ignore_errors=True)
        self._mark("total")
        return self.told

    def _mark(self, name: str) -> None:
        self.told.seconds[name] = round(time.monotonic() - self._begun, 2)

    # ---------------------------------------------------------------------------------------------- the mesh

    async def _gather(self, lab: Lab) -> None:
        self._say("Starting the desk: Medulla first, then the coordinator, then its node.")
        await lab.begin({"KINDMESH_NODE_CAPABILITIES": OFFERS["desk"]})
        png = self._out / "invitation.png"
        for number, name in enumerate(("phone", "kitchen")):
            settings = {"KINDMESH_NODE_CAPABILITIES": OFFERS[name]}
            events = await lab.join(name, settings)
            if number == 0:
                self.told.invitation = events.named("window")["text"]
                # It was used; `kindmesh pair --save` removes its own picture then.
                save_picture(self.told.invitation, png)
                self.told.invitation_png = str(png)
                self._show(self.told.invitation)
            code = events.named("code")["code"]
            self._say(
                f"Pairing the {name}: it read the QR, both sides agree on {code}, the owner signed, Medulla certified."
            )
        await asyncio.gather(lab.devices["phone"].up(), lab.devices["kitchen"].up())
        await lab.alive("desk", "phone", "kitchen")
        self._mark("mesh")
        self._say(f"Three devices, {self.told.seconds['mesh']:.1f} s after the start.")

    # ------------------------------------------------------------------------------------------- the main job

    async def _read_aloud(self, lab: Lab) -> None:
        phone = lab.devices["phone"]
        self._say(f'On the phone: "{SAY}" ({self._image.name}).')
        with ControlClient(phone.home.socket("node")) as client:
            letter = upload(client, self._image, lambda part: None)
        read = await self._call(phone, "vision.read_text", f"image={letter['artifact']}")
        self.told.text = read["value"]["text"]
        if not self.told.text.strip():
            raise InternalError(
                "no text was found in the picture", hint="Is it sharp, bright and the right way up?"
            )
        self._mark("read")
        words = len(self.told.text.split())
        self._say(f"{_who(read)} read {words} words.")

        desk = lab.desk
        rendered = await self._render(lab, desk)
        audio = rendered["value"]["audio"]
        wav = self._out / "letter.wav"
        await self._fetch(desk, rendered, audio, wav)
        self.told.wav = {
            "path": str(wav),
            "bytes": wav.stat().st_size,
            "duration_ms": rendered["value"]["duration_ms"],
        }
        self._mark("rendered")

        said = await self._call(desk, "speech.say", f"audio={audio['artifact']}", may_fail=True)
        error = said.get("error")
        self.told.spoken = {
            "done": said["state"] == "succeeded",
            "device": said.get("device_name", ""),
            "why": "" if error is None else error["message"],
        }
        self._say(
            f"{_who(said)} spoke it out loud."
            if self.told.spoken["done"]
            else f"Nobody spoke it out loud: {sentence(self.told.spoken['why'])} It is in {wav} instead."
        )
        self._mark("said")

    async def _call(
        self, device: Device, operation: str, *words: str, may_fail: bool = False
    ) -> dict[str, Any]:
        try:
            job = (await device.run("call", operation, *words, timeout_s=PATIENCE_S))[-1]
        except KindmeshError as error:
            if not may_fail:
                raise
            # Refused before it became a job: nobody here can do it, and the reason says why.
            return {"state": "refused", "error": {"code": error.code, "message": error.message}}
        if "job" in job:
            self.told.jobs.append(job)
        if job["state"] != "succeeded" and not may_fail:
            raise InternalError(f"{operation} {job['state']}: {(job.get('error') or {}).get('message', '')}")
        return job

    async def _render(self, lab: Lab, desk: Device) -> dict[str, Any]:
        """Render the letter, and pull the plug of whoever renders it."""
        text = lab.root / "letter.txt"
        text.write_text(self.told.text, encoding="utf-8")
        names = ("phone", "kitchen")
        pids = {name: int(lab.ask("status", device=name, part="node")["pid"]) for name in names}
        async with (
            watching(lab.devices["phone"].home.socket("node")) as on_phone,
            watching(lab.devices["kitchen"].home.socket("node")) as in_kitchen,
        ):
            calling = asyncio.create_task(self._call(desk, "speech.render", f"text=@{text}"))
            queues = {"phone": on_phone, "kitchen": in_kitchen}
            watchers = {name: asyncio.create_task(_intent(queues[name])) for name in names}
            try:
                done, _ = await asyncio.wait(
                    [*watchers.values(), calling], return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE_S
                )
                killed = next((name for name, task in watchers.items() if task in done), "")
                if not killed:
                    raise InternalError("no device began to render")
                job = watchers[killed].result()
                await lab.devices[killed].kill()
                killed_at = time.monotonic()
            finally:
                for task in watchers.values():
                    task.cancel()
                await asyncio.gather(*watchers.values(), return_exceptions=True)
            self._note_kill(lab, killed, pids[killed], job)
            rendered = await calling
        self.told.recovery = {
            "job": rendered["job"],
            "device": rendered["device_name"],
            "attempts": rendered["attempts"],
            "after_ms": round((time.monotonic() - killed_at) * 1000),
        }
        self._say(
            f"{_who(rendered)} rendered it instead, once, {self.told.recovery['after_ms'] / 1000:.1f} s after the kill."
        )
        return rendered

    def _note_kill(self, lab: Lab, name: str, pid: int, job: str) -> None:
        """What the dead device's journal says: the work was begun, and was not done."""
        found = look_up_job(lab.devices[name].home.node_journal, parse_time_id(job))
        state = found[0] if found is not None else "absent"
        self.told.kill = {
            "device": name,
            "pid": pid,
            "job": job,
            "signal": "SIGKILL",
            "journal": {"intent": state in ("intent", "done"), "result": state == "done"},
        }
        self._say(f"Killed the {name} (kill -9, process {pid}): its journal has INTENT and no RESULT.")
        if state != "intent":
            raise InternalError(f"the kill came at the wrong moment: the journal says {state}")

    async def _fetch(self, device: Device, job: dict[str, Any], audio: dict[str, Any], path: Path) -> None:
        def get() -> None:
            with connect(device.home) as client:
                download(client, audio, job["job"], path)

        await asyncio.to_thread(get)

    async def _return(self, lab: Lab) -> None:
        """The killed device comes back and is a member again, with nothing done twice."""
        name = self.told.kill["device"]
        await lab.devices[name].up()
        await lab.alive(name)
        found = look_up_job(lab.devices[name].home.node_journal, parse_time_id(self.told.kill["job"]))
        self.told.kill["after_return"] = found[2] if found is not None else "absent"
        self._say(f"The {name} is back; its journal says of that job: {self.told.kill['after_return']}.")


async def _intent(events: asyncio.Queue[dict[str, Any]]) -> str:
    """The job whose INTENT a device tells of first."""
    while True:
        event = await events.get()
        if event.get("event") == "intent" and event.get("operation") == "speech.render":
            return str(event["job"])


def _who(job: dict[str, Any]) -> str:
    name = job.get("device_name") or "nobody"
    return f"The {name}" if name != "nobody" else "Nobody"


__all__ = ["OFFERS", "SAY", "Story", "Told"]
