"""Docker contexts, as the docker client keeps them on disk."""

import hashlib
import json
import os
from pathlib import Path


def context_host(name: str) -> str:
    """The Engine's address in the context of that name (`unix://…`, `ssh://…`), "" where there is none.

    Docker keeps a context under the SHA-256 of its name.
    """
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    meta = folder / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest() / "meta.json"
    try:
        host = json.loads(meta.read_bytes())["Endpoints"]["docker"]["Host"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return host if isinstance(host, str) else ""
