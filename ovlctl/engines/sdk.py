"""The Docker SDK for Python, by which the daemons of Docker and of Podman are asked.

It has a way to every kind of address but SSH. What it is used for is one thing: documents that a daemon gives. They are
fetched in a thread, because a daemon that sends a byte now and then would outlast any time limit of a socket.
"""

from __future__ import annotations

import errno
import http.client
import json
import queue
import socket
import ssl
import threading
import traceback
import warnings
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ovlctl import extras
from ovlctl.engines.documents import mapping, text
from ovlctl.engines.keepers import Engine
from ovlctl.errors import ContainerMissing, EngineSilent, OvlError, StoreForbidden, strerror

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.engines.daemons import Certificates, Endpoint

#: How long all documents of one call may take.
TIMEOUT_S = 5.0
#: The longest document that is taken, in bytes.
ANSWER_MAX = 64 << 20
_CHUNK = 1 << 16
_WORDS_MAX = 200
_NOBODY = {errno.ENOENT, errno.ECONNREFUSED, errno.ENOTSOCK, errno.ENOTDIR}


def documents(endpoint: Endpoint, *requests: tuple[str, ...], timeout_s: float = TIMEOUT_S) -> tuple[Any, ...]:
    """What a daemon answers, one parsed JSON document for each request, in order.

    Args:
        endpoint: Where it is asked.
        requests: Of each, the components of its path: ``("containers", NAME, "json")``.
        timeout_s: For all of them, from the first connection on.

    Raises:
        ExtraMissing: The SDK is not installed.
        ContainerMissing: The daemon has nothing of this name.
        StoreForbidden: The socket may not be used.
        EngineSilent: It is not reached, or answers too late, or not to the end, or something else.
    """
    extras.require("asking the daemon of an engine", "docker")
    if not endpoint.address:
        raise EngineSilent("{} names no address of a daemon", endpoint.found, hint=_HINT)
    if endpoint.address.startswith("ssh://"):
        raise EngineSilent(
            "{} is reached by SSH, which ovlctl does not do", endpoint.address, hint="run ovlctl on that machine"
        )
    outcome: queue.SimpleQueue[tuple[Any, ...] | Exception] = queue.SimpleQueue()
    work = threading.Thread(target=_fetch, args=(endpoint, requests, timeout_s, outcome), daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about versions of its own dependencies, and about what a context chose
        import docker  # noqa: F401 - what it takes to load is no time of the daemon's

        work.start()
        try:
            done = outcome.get(timeout=timeout_s)
        except queue.Empty:
            raise _late(endpoint, timeout_s) from None
    if isinstance(done, Exception):
        raise _told(endpoint, done, timeout_s) from done
    return done


def _fetch(
    endpoint: Endpoint,
    requests: tuple[tuple[str, ...], ...],
    timeout_s: float,
    outcome: queue.SimpleQueue[tuple[Any, ...] | Exception],
) -> None:
    import docker

    try:
        # A version, lest it be asked for: paths without one are understood by every daemon, and mean the newest.
        with docker.APIClient(
            base_url=endpoint.address,
            version=docker.constants.MINIMUM_DOCKER_API_VERSION,
            timeout=timeout_s,
            tls=_tls(endpoint.certificates),
        ) as client:
            outcome.put(tuple(_document(endpoint, client, path, timeout_s) for path in requests))
    except Exception as error:  # noqa: BLE001 - libraries fail in many ways at an answer that is none
        for cause in _causes(error):
            traceback.clear_frames(cause.__traceback__)  # a socket that did not connect is left open in one of them
        outcome.put(error)


def _tls(certificates: Certificates | None) -> Any:
    import docker

    if certificates is None:
        return False
    pair = (certificates.cert, certificates.key) if certificates.cert and certificates.key else None
    return docker.tls.TLSConfig(client_cert=pair, ca_cert=certificates.ca, verify=certificates.verify)


def _document(endpoint: Endpoint, client: Any, path: tuple[str, ...], timeout_s: float) -> Any:
    # A slash and a colon stand in references of images as they are.
    url = "/".join((client.base_url, *(quote(part, safe="/:@") for part in path)))
    # Without verify, REQUESTS_CA_BUNDLE would go before the authority that the context names.
    with client.get(url, stream=True, timeout=timeout_s, allow_redirects=False, verify=client.verify) as response:
        content = bytearray()
        for chunk in response.iter_content(_CHUNK):
            content += chunk
            if len(content) > ANSWER_MAX:
                raise EngineSilent(f"the answer of {{}} is longer than {ANSWER_MAX} bytes", endpoint.address)
        status = int(response.status_code)
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None
    if status == http.client.OK and document is not None:
        return document
    words = (text(mapping(document).get("message")) or "").splitlines() or [""]
    if status == http.client.NOT_FOUND and words[0]:
        raise ContainerMissing(f"{endpoint.engine} at {{}} says: {{}}", endpoint.address, words[0][:_WORDS_MAX])
    if status == http.client.OK:
        raise EngineSilent("what {} answers is no JSON document", endpoint.address)
    raise EngineSilent(f"{{}} answers with status {status}: {{}}", endpoint.address, words[0][:_WORDS_MAX])


def _told(endpoint: Endpoint, error: Exception, timeout_s: float) -> OvlError:
    if isinstance(error, OvlError):
        return error
    for cause in _causes(error):
        told = _of_cause(endpoint, cause, timeout_s)
        if told is not None:
            return told
    words = " ".join(str(getattr(error, "msg", None) or error).split())[:_WORDS_MAX]
    return EngineSilent("{} cannot be asked: {}", endpoint.address, words, hint=_HINT)


def _of_cause(endpoint: Endpoint, cause: BaseException, timeout_s: float) -> OvlError | None:
    if isinstance(cause, TimeoutError):
        return _late(endpoint, timeout_s)
    # Both have numbers of their own in place of the kernel's.
    if isinstance(cause, ssl.SSLError | socket.gaierror):
        words = " ".join(str(cause.strerror or cause).split())[:_WORDS_MAX]
        return EngineSilent("{} is not reached: {}", endpoint.address, words, hint=_HINT)
    if isinstance(cause, PermissionError):
        return StoreForbidden(
            f"the socket {{}} may not be used: {strerror(cause)}",
            endpoint.address.removeprefix("unix://"),
            errno=cause.errno,
            hint="ask as root, or as a member of the group that it belongs to: `ls -l {}`",
        )
    if isinstance(cause, OSError) and cause.errno in _NOBODY:
        return EngineSilent(
            f"nobody listens at {{}}: {strerror(cause)}", endpoint.address, errno=cause.errno, hint=_start(endpoint)
        )
    if isinstance(cause, ConnectionError | http.client.HTTPException):
        return EngineSilent("{} ended the conversation before its answer was whole", endpoint.address, hint=_HINT)
    return None


_HINT = "`docker context ls` and `podman system connection list` name the addresses that are set up"


def _start(endpoint: Endpoint) -> str | None:
    unit = {Engine.DOCKER: "docker", Engine.PODMAN: "podman.socket"}.get(endpoint.engine)
    return f"`systemctl {'--user ' if endpoint.found == 'rootless' else ''}start {unit}`" if unit else None


def _late(endpoint: Endpoint, timeout_s: float) -> EngineSilent:
    return EngineSilent(f"{{}} has not answered within {timeout_s:g} s", endpoint.address, hint=_HINT)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    # requests and urllib3 wrap what happened several times over.
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
