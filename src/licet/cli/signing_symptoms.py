"""What the doctor finds about the keys that sign: whether one does, for how long, and where the root lies."""

import stat
from datetime import timedelta
from pathlib import Path
from typing import Final

from licet.cli.symptom import Symptom, broken, well
from licet.core.instant import to_datetime
from licet.seal.paserk import public_of, write_public
from licet.seal.rootfile import RootFileError, read_root
from licet.services.errors import ServiceError
from licet.services.signing import SigningKeyView, SigningView, read_signing
from licet.store.postgres import PostgresView

SOON: Final = timedelta(days=60)
"""How long before its end a key is warned of: time to fetch the root, and for followers that are rarely on line."""
NAME: Final = "signing"


async def signing_symptoms(view: PostgresView, root: Path) -> list[Symptom]:
    """Tell whether a workspace has a key that signs and until when; and whether its root is still in this home."""
    name = view.workspace.id
    if not await view.keyset_version():
        words = f"{name}: no keyset yet, so nobody can follow"
        return [Symptom(name=NAME, state="note", words=words, advice="the next `licet up` makes it")]
    try:
        found = await read_signing(view)
    except ServiceError as error:
        why = "no follower believes what this workspace signs"
        return [broken(NAME, f"{name}: {error.words}", why=why, advice=error.advice)]
    return [_key_symptom(found, view.time.wall), *_root_symptoms(found, root)]


def _key_symptom(found: SigningView, now: int) -> Symptom:
    name, step = found.workspace, f"licet signing rotate --root FILE -w {found.workspace}"
    key = next((one for one in found.keys if one.state == "signs"), None)
    if key is None:
        words = f"{name}: no key may sign any more{_last(found.keys)}"
        why = "no follower believes anything newer than what it has, and all of that runs out"
        return broken(NAME, words, why=why, advice=step)
    if key.not_after - to_datetime(now) <= SOON:
        words = f"{name}: the key that signs runs out on {key.not_after:%Y-%m-%d}"
        why = "from then on no follower believes anything new"
        return Symptom(name=NAME, state="note", words=words, why=why, advice=step)
    return well(NAME, f"{name}: keyset version {found.version}, its key signs until {key.not_after:%Y-%m-%d}")


def _last(keys: tuple[SigningKeyView, ...]) -> str:
    return f": the last one was good until {keys[0].not_after:%Y-%m-%d}" if keys else ""


def _root_symptoms(found: SigningView, path: Path) -> list[Symptom]:
    """Say that a root that is still here should be elsewhere; nothing where there is none, which is as it should be."""
    try:
        if not path.exists():
            return []
        mode = stat.S_IMODE(path.stat().st_mode)
        fits = write_public(public_of(read_root(path))) == found.root
    except (OSError, RootFileError):
        return []
    if not fits:
        words = f"{found.workspace}: {path} is another root than the one that signs"
        return [Symptom(name=NAME, state="note", words=words, advice="keep it apart, or remove it if nothing pins it")]
    move = f"licet signing move-root FILE -w {found.workspace}, onto a stick that is then taken away"
    if mode & 0o077:
        words = f"{found.workspace}: {path} is open to others (mode {mode:04o})"
        why = "who reads it can make keys that every follower believes"
        return [broken(NAME, words, why=why, advice=f"chmod 600 {path}; then {move}")]
    words = f"{found.workspace}: the root is still on this machine, in {path}"
    why = "who breaks into this machine could then make keys that every follower believes, and revoking would not help"
    return [Symptom(name=NAME, state="note", words=words, why=why, advice=move)]
