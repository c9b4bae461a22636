"""The server's key, and what it signs: the proof of each artifact that it registers.

The key lies in the data folder, `signing.key` (PEM, PKCS 8, readable by its owner alone), and is made at the first start.
Its public half stands in every proof. Whoever has the folder can sign as this server; a copy of the folder keeps the key.
"""

from __future__ import annotations

import base64
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from automl.spec import Artifact
from automl.spec.model import canonical
from automl_server import files

KEY_FILE = "signing.key"
KIND, VERSION = "automl-proof", 1


class Signer:
    """Signs with one Ed25519 key (RFC 8032)."""

    def __init__(self, key: Ed25519PrivateKey):
        self._key = key
        self.public = key.public_key().public_bytes_raw().hex()
        """64 hexadecimal digits."""

    @classmethod
    def of(cls, folder: Path) -> Signer:
        """The key in the data folder, which is made when there is none. Raises `ValueError` for one of no such kind."""
        path = folder / KEY_FILE
        if not path.exists():
            made = Ed25519PrivateKey.generate().private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            earlier = os.umask(0o077)  # the file is never readable by others, not even for a moment
            try:
                files.write(path, made)
            finally:
                os.umask(earlier)
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError(f"{path} holds a private key of another kind than Ed25519")
        return cls(key)

    def proof(self, artifact: Artifact, *, job: str, data: dict[str, Any]) -> str:
        """The signed statement of what was measured on an artifact, as JSON: `automl_client.proofs` says what it means."""
        statement = {
            "kind": KIND,
            "version": VERSION,
            "key": self.public,
            "artifact": {
                "filename": artifact.filename, "format": artifact.format, "precision": artifact.precision,
                "sha256": artifact.sha256, "size_bytes": artifact.size_bytes,
            },
            "members": artifact.members,
            "data": data,
            "job": job,
            "verification": artifact.verification.to_dict(),
            "issued": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        signature = base64.b64encode(self._key.sign(canonical(statement))).decode()
        return json.dumps({"statement": statement, "signature": signature}, ensure_ascii=False)
