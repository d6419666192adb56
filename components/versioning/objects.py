"""Single objects of DVC, by their MD5: whether the cache and the default remote have them, removing
them, and the description of a folder without them.

Usage: `python -m components.versioning.objects has|remove|without …`, which prints JSON. DVC has no
command for this, and its library is loaded in a process of its own, as by
:mod:`components.versioning.dvc_command`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree
from dvc_objects.errors import ObjectFormatError
from dvc_objects.fs.errors import ConfigError as RemoteConfigError

from components.errors import EidolonError, TransientError, one_sentence
from components.variables import masked
from components.versioning.remote import has_remote


def main(verb: str, *arguments: str) -> Any:
    """The answer of ``verb``: for `has` and `remove` with MD5s, those that the `cache` and the
    `remote` have or had; for `without FOLDER MD5…` DVC's hash of that folder without these files.

    Raises :class:`EidolonError` for a remote that is set wrongly, and for a folder that is not in
    the cache; :class:`TransientError` for a remote that cannot be reached.
    """
    try:
        with Repo() as repo:
            stores = {"cache": repo.cache.local}
            if has_remote():
                stores["remote"] = repo.cloud.get_remote_odb()
            if verb == "without":
                return _without(stores, arguments[0], arguments[1:])
            found = {name: _held(odb, arguments) for name, odb in stores.items()}
            if verb == "remove":
                for name, odb in stores.items():
                    for oid in found[name]:
                        odb.delete(oid)
            return found
    except (RemoteConfigError, ImportError) as error:
        raise EidolonError(f"DVC's remote: {masked(str(error))}") from None
    except (DvcException, OSError) as error:
        raise TransientError(f"DVC's cache or remote: {masked(str(error))}") from None


def _held(odb: Any, oids: Sequence[str]) -> list[str]:
    return [oid for oid in oids if odb.exists(oid)]


def _without(stores: Mapping[str, Any], folder: str, oids: Sequence[str]) -> str:
    """Describe ``folder`` without ``oids`` in the cache. Returns DVC's hash of that."""
    for odb in stores.values():
        with suppress(FileNotFoundError, ObjectFormatError):
            whole = Tree.load(odb, HashInfo("md5", folder))
            break
    else:
        raise EidolonError(
            f"DVC's cache and remote do not hold {folder}: run `dvc push` in the clone that"
            " registered it, or check `dvc remote list`"
        )
    rest = Tree()
    for key, meta, info in whole:
        if info.value not in oids:
            rest.add(key, meta, info)
    rest.digest()
    stores["cache"].add(rest.path, rest.fs, rest.oid)
    return str(rest.oid)


if __name__ == "__main__":
    with one_sentence():
        print(json.dumps(main(*sys.argv[1:])))
