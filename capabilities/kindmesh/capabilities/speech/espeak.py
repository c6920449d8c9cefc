"""espeak-ng through its shared library; the only module that loads it, and only ever inside a worker process.

The library keeps state from one text to the next (the same text said twice gives other samples), and it offers no way
to reset it. So every text gets a freshly loaded copy of the library, unloaded afterwards: that costs 2 ms and makes
the same request give the same bytes. Samples arrive in a callback and go straight to the file, whatever the length;
events carry the position in the text, which is the progress. Its data path may have at most 159 characters; a longer
one is reached by changing into that folder, which in a worker process disturbs nobody.
Interface: speak_lib.h of espeak-ng 1.52 (API revision 12).
"""

from __future__ import annotations

import _ctypes
import ctypes
import errno
import importlib.util
import os
import sys
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kindmesh.capabilities.speech.voices import Voice
from kindmesh.protocol.errors import (
    ArtifactTooLarge,
    CapabilityError,
    CapabilityMissing,
    DiskFull,
    InvalidInput,
    KindmeshError,
)

__all__ = ["Engine", "Spoken", "installed"]

_SYNCHRONOUS: Final = 2
_DONT_EXIT: Final = 0x8000
_UTF8: Final = 1
_END_PAUSE: Final = 0x1000
_POSITION_CHARACTER: Final = 1
_RATE: Final = 1
_PATH_LIMIT: Final = 140
_LIST_TERMINATED, _WORD = 0, 1


_TOO_MUCH: Final[dict[int | None, KindmeshError]] = {
    errno.EFBIG: ArtifactTooLarge("the speech is too long for one file", hint="Send the text in parts."),
    errno.ENOSPC: DiskFull("the disk is full, nothing was kept"),
}


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


class _Voice(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("reserved", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@dataclass(frozen=True, slots=True)
class Spoken:
    """What was written: samples per second, number of samples, number of words heard."""

    sample_rate_hz: int
    samples: int
    words: int

    @property
    def duration_ms(self) -> int:
        """How long it takes to hear."""
        return self.samples * 1000 // self.sample_rate_hz


def installed() -> tuple[Path, Path]:
    """The shared library and the folder that holds `espeak-ng-data`, as the package ships them.

    Raises:
        CapabilityMissing: the package is not installed, or not whole.
    """
    found = importlib.util.find_spec("espeakng_loader")
    folder = Path(found.origin).parent if found is not None and found.origin else Path("espeakng_loader")
    library = folder / ("libespeak-ng.dylib" if sys.platform == "darwin" else "libespeak-ng.so")
    if not library.is_file() or not (folder / "espeak-ng-data" / "phontab").is_file():
        raise CapabilityMissing(
            "espeak-ng is not installed on this device, or not whole", hint="pip install 'kindmesh[speech]'"
        )
    return library, folder


class Engine:
    """Says one text at a time. `library` and `data_folder` are what `installed()` returns."""

    def __init__(self, library: Path, data_folder: Path) -> None:
        self._library = library
        self._data_folder = data_folder
        with self._loaded() as (lib, _):
            self.voices = tuple(_list_voices(lib))

    @contextmanager
    def _loaded(self) -> Iterator[tuple[ctypes.CDLL, int]]:
        lib = ctypes.CDLL(str(self._library))
        try:
            yield lib, self._initialise(lib)
        finally:
            lib.espeak_Terminate()
            _ctypes.dlclose(lib._handle)  # noqa: SLF001 - ctypes has no public way to unload

    def _initialise(self, lib: ctypes.CDLL) -> int:
        path = os.fsencode(self._data_folder)
        if len(path) > _PATH_LIMIT:
            os.chdir(self._data_folder)
            path = b"."
        rate: int = lib.espeak_Initialize(_SYNCHRONOUS, 0, path, _DONT_EXIT)
        if rate <= 0:
            raise CapabilityError("espeak-ng does not start on this device", hint="Install it again.")
        lib.espeak_ListVoices.argtypes = (ctypes.c_void_p,)
        lib.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        lib.espeak_ListVoices(None)
        return rate

    def speak(
        self, text: str, *, voice: str, rate_wpm: int, into: Path, progress: Callable[[float], None]
    ) -> Spoken:
        """Write `text` as WAV (16 bits, one channel) to `into`. `voice` is what `voices.choose` returned.

        `progress` is called with the fraction of the text that is done; what it raises stops the speaking and comes
        out of here.

        Raises:
            InvalidInput: nothing in the text can be spoken.
            CapabilityError: espeak-ng failed.
        """
        with wave.open(str(into), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)

            def begin(rate: int) -> None:
                file.setframerate(rate)

            return self._speak(
                text, voice=voice, rate_wpm=rate_wpm, begin=begin, take=file.writeframesraw, progress=progress
            )

    def speak_to(
        self,
        text: str,
        *,
        voice: str,
        rate_wpm: int,
        take: Callable[[bytes], None],
        progress: Callable[[float], None],
    ) -> Spoken:
        """As `speak`, but the samples (16 bits, little endian, one channel) go to `take` as they are made; what it
        raises stops the speaking as well."""
        return self._speak(
            text, voice=voice, rate_wpm=rate_wpm, begin=_unneeded, take=take, progress=progress
        )

    def _speak(
        self,
        text: str,
        *,
        voice: str,
        rate_wpm: int,
        begin: Callable[[int], None],
        take: Callable[[bytes], None],
        progress: Callable[[float], None],
    ) -> Spoken:
        plain = "".join(character if character >= " " or character in "\n\t" else " " for character in text)
        with self._loaded() as (lib, rate):
            begin(rate)
            sink = _Sink(take, len(plain), progress)
            callback = _Callback(sink.take)
            lib.espeak_SetSynthCallback(callback)
            if lib.espeak_SetVoiceByName(voice.encode()) != 0:
                raise CapabilityError(f"espeak-ng could not load the voice {voice}")
            lib.espeak_SetParameter(_RATE, rate_wpm, 0)
            data = plain.encode("utf-8", "replace") + b"\0"
            flags = _UTF8 | _END_PAUSE
            status = lib.espeak_Synth(
                data, ctypes.c_size_t(len(data)), 0, _POSITION_CHARACTER, 0, flags, None, None
            )
            lib.espeak_Synchronize()
            sink.finish(status)
        if sink.words == 0:
            raise InvalidInput("there is nothing in the text that can be spoken", field="text")
        return Spoken(rate, sink.samples, sink.words)


class _Sink:
    """Receives samples and events. An exception cannot pass through C: it is kept, and the speaking stopped."""

    def __init__(
        self, write: Callable[[bytes], None], length: int, progress: Callable[[float], None]
    ) -> None:
        self._write = write
        self._length = max(1, length)
        self._progress = progress
        self._failure: BaseException | None = None
        self.samples = 0
        self.words = 0

    def take(self, samples: Any, count: int, events: Any) -> int:
        """One block of sound; returns 1 to stop."""
        try:
            self._take(samples, count, events)
        except BaseException as error:  # noqa: BLE001 - raised again by `finish`, on the other side of the C code
            self._failure = error
        return 1 if self._failure is not None else 0

    def _take(self, samples: Any, count: int, events: Any) -> None:
        if count > 0:
            self._write(ctypes.string_at(samples, count * 2))
            self.samples += count
        place, index = -1, 0
        while events and events[index].type != _LIST_TERMINATED:
            if events[index].type == _WORD:
                self.words += 1
            place = max(place, events[index].text_position)
            index += 1
        if place >= 0:
            self._progress(min(1.0, place / self._length))

    def finish(self, status: int) -> None:
        """Raise what went wrong on the way."""
        if isinstance(self._failure, OSError) and self._failure.errno in _TOO_MUCH:
            raise _TOO_MUCH[self._failure.errno] from self._failure
        if self._failure is not None:
            raise self._failure
        if status != 0:
            raise CapabilityError(f"espeak-ng failed with status {status}")


def _unneeded(rate: int) -> None:
    """Nobody needs the rate beforehand."""


def _list_voices(lib: ctypes.CDLL) -> Iterator[Voice]:
    yield from _listed(lib, None, variants=False)
    pattern = _Voice()
    wanted = ctypes.create_string_buffer(b"variant")
    pattern.languages = ctypes.cast(wanted, ctypes.c_void_p).value
    yield from _listed(lib, ctypes.byref(pattern), variants=True)


def _listed(lib: ctypes.CDLL, pattern: Any, *, variants: bool) -> Iterator[Voice]:
    found = lib.espeak_ListVoices(pattern)
    index = 0
    while found[index]:
        voice = found[index].contents
        languages = () if variants else tuple(_languages(voice.languages))
        yield Voice(
            voice.name.decode("utf-8", "replace"), voice.identifier.decode("utf-8", "replace"), languages
        )
        index += 1


def _languages(address: int | None) -> Iterator[str]:
    """A list in C: for each language a priority byte and a text that ends with zero; a zero byte ends the list."""
    while address and ctypes.string_at(address, 1) != b"\0":
        code = ctypes.string_at(address + 1)
        yield code.decode("ascii", "replace").casefold()
        address += 1 + len(code) + 1
