"""Embeds the texts of other models again with the configured model: `python3 backfill.py`.

Environment: DATA_STORAGE_URL (default http://127.0.0.1:8080), DATA_STORAGE_TOKEN_FILE (a file with
a writer's token) and BATCH (texts per step, default 100, at most 1,000; a step takes some 10 s).
Interrupt and repeat the program at any time, also beside writes.

The exit code is 0 when no text is left except those that failed.
"""

import argparse, json, os, signal, sys, time, urllib.error, urllib.request
from http.client import HTTPException
from pathlib import Path

SERVICE = os.environ.get("DATA_STORAGE_URL", "http://127.0.0.1:8080").rstrip("/")
TOKEN_FILE = os.environ.get("DATA_STORAGE_TOKEN_FILE")
BATCH = os.environ.get("BATCH", "100")
ANSWER_SECONDS_MAX = 120
RETRY_SECONDS_DEFAULT, RETRY_SECONDS_MAX = 2, 30


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses redirects, which would send a GET elsewhere."""

    def redirect_request(self, *_) -> None:
        return None


OPENER = urllib.request.build_opener(NoRedirect)


def read_token() -> str:
    """Reads the token each time, as the cluster rotates it. Errors never contain it."""
    try:
        token = Path(TOKEN_FILE).read_bytes().strip()
    except OSError as error:
        sys.exit(f"DATA_STORAGE_TOKEN_FILE cannot be read: {error.strerror}")
    if not token or any(byte <= 0x20 or byte >= 0x7F for byte in token):
        sys.exit("DATA_STORAGE_TOKEN_FILE does not hold a token: one line of ASCII without spaces.")
    return token.decode("ascii")


def request_after(text_id: int) -> urllib.request.Request:
    url = f"{SERVICE}/api/v1/embeddings/backfill?limit={BATCH}&after={text_id}"
    request = urllib.request.Request(url, method="POST")
    if TOKEN_FILE:
        request.add_header("Authorization", f"Bearer {read_token()}")
    return request


def read_step(answer) -> dict:
    """Returns the result of a step if the body is one."""
    step = json.load(answer)
    if not isinstance(step, dict) or not isinstance(step.get("model"), str):
        raise ValueError("the answer is not the service's")
    counts = [step.get(name) for name in ("embedded", "failed", "left")] + [step.get("next") or 0]
    if not all(isinstance(count, int) for count in counts):
        raise ValueError("the answer is not the service's")
    return step


def reason_of(error: urllib.error.HTTPError) -> str:
    """Returns the problem's detail, or else the status."""
    try:
        problem = json.load(error)
        reasons = [f"{error.code}: {problem['detail']}"]
        reasons += [f"{each['field']}: {each['message']}" for each in problem.get("errors", [])]
        return "\n  ".join(reasons)
    except (OSError, HTTPException, ValueError, LookupError, TypeError):
        return str(error)


def step_after(text_id: int, failures_max: int) -> dict:
    """Requests one step and retries until it succeeds or the attempts are used up."""
    for failure in range(1, failures_max + 1):
        wait = ""
        request = request_after(text_id)
        try:
            with OPENER.open(request, timeout=ANSWER_SECONDS_MAX) as answer:
                return read_step(answer)
        except urllib.error.HTTPError as error:
            reason, wait = reason_of(error), error.headers.get("Retry-After", "")
            if error.code != 503:
                sys.exit(f"The service refuses this: {reason}")
        except (OSError, HTTPException, ValueError) as error:
            reason = f"no answer: {error}"
        print(f"failure {failure} of {failures_max} at most: {reason}")
        if failure < failures_max:
            seconds = int(wait) if wait.isdecimal() else RETRY_SECONDS_DEFAULT
            time.sleep(min(seconds, RETRY_SECONDS_MAX))
    sys.exit(
        f"Given up after {failures_max} failures in a row. What is done stays done. When the service and its "
        f"provider answer again, repeat this command; with --after {text_id} it goes on where it was."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--after", type=int, default=0, metavar="ID", help="begin after this text")
    parser.add_argument("--failures-max", type=int, default=10, metavar="N", help="then give up (10)")
    options = parser.parse_args()
    if not (BATCH.isascii() and BATCH.isdecimal() and 1 <= int(BATCH) <= 1000):
        sys.exit("BATCH is not a number from 1 to 1000.")
    if not SERVICE.startswith(("http://", "https://")):
        sys.exit("DATA_STORAGE_URL is not the service's address, such as http://127.0.0.1:8080.")
    after, embedded, failed, begun = options.after, 0, 0, time.monotonic()
    try:
        while after is not None:
            step_begun = time.monotonic()
            step = step_after(after, options.failures_max)
            embedded, failed = embedded + step["embedded"], failed + step["failed"]
            done = f"{step['embedded']} embedded, {step['failed']} failed, {step['left']} left"
            print(f"after {after}: {done}, {time.monotonic() - step_begun:.1f} s")
            after = step["next"]
    except KeyboardInterrupt:
        print(f"Interrupted. What is done stays done; with --after {after} it goes on where it was.")
        sys.exit(130)
    took = time.monotonic() - begun
    print(f"{embedded} embedded by {step['model']} in {took:.1f} s: {embedded / took:.1f} texts/s.")
    if failed:
        print(
            f"{failed} keep the vector they had, and no search finds them by meaning: the provider refuses "
            "these texts or fails on them, or no record has them any more. The service's log says why."
        )


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    # As PID 1, the program would ignore SIGTERM.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    main()
