"""Proofs: what was measured on an artifact's bytes, signed by whoever measured it.

A proof is a JSON file beside the artifact, `model-int8.tflite.proof.json`:

    {"statement": {"kind": "automl-proof", "version": 1, "artifact": {"sha256": …}, "members": {name: sha256}, "data": …,
                   "verification": …, "issued": …, "key": …},
     "signature": base64 of Ed25519 over the statement's canonical JSON (sorted keys, no blanks, UTF-8)}

What a valid signature says: the holder of the key measured these figures on exactly these bytes (the file, and each
companion that travels in it) and those data. What it doesn't say: that the data are like yours, and who holds the key: that
is settled by the key's own digits, which one has to have from somewhere else (`automl doctor` shows your own server's).
Ed25519 rather than a shared secret, so that anyone can check a proof and only the holder can write one (RFC 8032).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_client import errors

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SUFFIX = ".proof.json"
KIND, VERSION = "automl-proof", 1
KEY_FILE = "signing.key"
MEMBERS = ("preprocess.json", "recipe.json", "labels.txt", "model_card.md", "samples.json")
"""Companions that a proof speaks of…"""
LEFT_OUT = frozenset({"model_card.md"})
"""… and of them those that a file under a tight limit of size does without."""

_MAX_PROOF_BYTES = 4 << 20
_MAX_MEMBER_BYTES = 64 << 20


@dataclass(frozen=True)
class Fault:
    """One thing that isn't as it was proven, or can't be."""

    about: str
    """"artifact", "labels.txt", "proof"…"""
    message: str


@dataclass(frozen=True)
class Proof:
    """A proof whose signature is valid."""

    statement: Mapping[str, Any]
    key: str
    """The public key, 64 hexadecimal digits."""

    @property
    def artifact_sha256(self) -> str:
        return str(self.statement["artifact"]["sha256"])

    @property
    def members(self) -> dict[str, str]:
        """SHA-256 by companion."""
        return {str(name): str(digest) for name, digest in self.statement["members"].items()}


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no blanks, as UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def path_of(artifact: Path) -> Path:
    """Where an artifact's proof lies."""
    return artifact.with_name(artifact.name + SUFFIX)


def read(path: Path) -> Proof:
    """A proof from a file. Raises `InvalidInput` for what is none, and when its signature isn't that of its statement."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        if path.stat().st_size > _MAX_PROOF_BYTES:
            raise ValueError("it is too large")
        envelope = json.loads(path.read_text(encoding="utf-8"))
        statement, signature = dict(envelope["statement"]), base64.b64decode(str(envelope["signature"]), validate=True)
        if statement.get("kind") != KIND or statement.get("version") != VERSION:
            raise ValueError(f"expected {KIND} {VERSION}, it is {statement.get('kind')} {statement.get('version')}")
        key = str(statement["key"])
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))
        proof = Proof(statement, key)
        _ = proof.artifact_sha256, proof.members
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise errors.InvalidInput.at(str(path), f"is no proof: {error}.", "PROOF_UNREADABLE") from error
    try:
        public.verify(signature, canonical(statement))
    except InvalidSignature as error:
        raise errors.InvalidInput.at(
            str(path), "its signature is not that of what it says: the proof was changed since.", "PROOF_FORGED"
        ) from error
    return proof


def signed(statement: Mapping[str, Any], key: Ed25519PrivateKey) -> dict[str, Any]:
    """The envelope of a statement, to which kind, version and key are added."""
    whole = {**statement, "kind": KIND, "version": VERSION, "key": public_digits(key)}
    return {"statement": whole, "signature": base64.b64encode(key.sign(canonical(whole))).decode()}


def public_digits(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes_raw().hex()


def own_key(home: Path) -> Ed25519PrivateKey:
    """The key in `home`, made there at the first call; readable by its owner alone. Raises `InvalidInput` for a file that is
    none."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    path = home / KEY_FILE
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        made = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        temporary = path.with_name(f"{KEY_FILE}.{os.getpid()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(made)
        try:
            os.link(temporary, path)  # of two that begin at once the first one's counts
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except ValueError as error:
        raise errors.InvalidInput.at(str(path), f"is no private key: {error}.") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise errors.InvalidInput.at(str(path), "is a private key of another kind than Ed25519.")
    return key


def known_keys(home: Path) -> set[str]:
    """Public keys of this user: that for `automl verify`, and that of the user's own server; none is made here."""
    return {
        public_digits(own_key(folder)) for folder in (home, home / "server") if (folder / KEY_FILE).is_file()
    }


def members_of(artifact: Path) -> dict[str, bytes]:
    """The companions inside an artifact, by name; none for a file without an archive."""
    found: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(artifact) as archive:
            for info in archive.infolist():
                if info.filename in MEMBERS:
                    if info.file_size > _MAX_MEMBER_BYTES:
                        raise errors.InvalidInput.at(str(artifact), f"{info.filename} claims {info.file_size:,} bytes.")
                    found[info.filename] = archive.read(info)
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError) as error:
        raise errors.InvalidInput.at(
            str(artifact), f"what travels in it can't be read, so it was damaged or is no artifact of automl: {error}.",
            "BUNDLE_DAMAGED",
        ) from error
    return found


def digests(members: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in sorted(members.items())}


def faults(artifact_sha256: str, members: Mapping[str, bytes], proof: Proof) -> list[Fault]:
    """What of an artifact isn't as it was proven: first the companions that were exchanged, each by its name."""
    there, proven = digests(members), proof.members
    found = []
    for name in sorted({*there, *proven}):
        if name not in there:
            found.append(Fault(name, "is lacking, though it was proven with the artifact."))
        elif name not in proven:
            found.append(Fault(name, "was added after the artifact was proven."))
        elif there[name] != proven[name]:
            found.append(
                Fault(name, f"is another one than was proven (SHA-256 {there[name][:12]}…, not {proven[name][:12]}…).")
            )
    if artifact_sha256 != proof.artifact_sha256:
        what = "and so are the file's bytes" if found else "the model's own bytes were changed, or it is another model"
        found.append(
            Fault("artifact", f"SHA-256 {artifact_sha256[:12]}… is not the proven {proof.artifact_sha256[:12]}…: {what}.")
        )
    return found


def contradictions(members: Mapping[str, bytes]) -> list[Fault]:
    """What the companions say against each other, without a proof: labels and classes that differ."""
    found = []
    for name in MEMBERS:
        if name not in members and name not in LEFT_OUT:
            found.append(Fault(name, "is lacking: every artifact of automl carries one."))
    if "preprocess.json" in members and "labels.txt" in members:
        classes = [" ".join(str(one).splitlines()) for one in json.loads(members["preprocess.json"]).get("classes") or ()]
        labels = members["labels.txt"].decode("utf-8", "replace").splitlines()
        if labels != classes:
            pairs = enumerate(zip(labels, classes, strict=False))
            at = next((i for i, (a, b) in pairs if a != b), min(len(labels), len(classes)))
            shown = [repr(one[at]) if at < len(one) else "nothing" for one in (labels, classes)]
            found.append(
                Fault(
                    "labels.txt",
                    f"doesn't belong to this model: line {at + 1} is {shown[0]}, and preprocess.json has {shown[1]} there.",
                )
            )
    return found
