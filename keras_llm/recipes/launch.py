"""Several workers on this machine: started together, watched, and stopped together."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

PROGRAM = (sys.executable, "-m", "keras_llm.cli")
SECONDS_ALONE = 5  # when one worker is gone, the others may end by themselves for so long; then SIGTERM comes
SECONDS_TO_STOP = (
    15  # ... and after so long SIGKILL, as one that waits for another in TensorFlow hears no SIGTERM
)
SECONDS_TO_SAVE = 60  # when a signal was passed on


def launch(command, workers=2, program=PROGRAM):
    """Runs one command as several workers on this machine, and waits for them.

    Each gets the environment variable TF_CONFIG, which says who the workers are and which one it is. What they print
    comes with `[worker 0]` before each line. SIGTERM and Ctrl-C are passed on to all. If one ends with an error or is
    killed, the others are stopped within `SECONDS_TO_STOP`.

    Args:
        command: words behind `keras-llm`, such as `["train", "gpt2"]`.
        workers: how many, at least 2.
        program: what the words are given to.

    Returns:
        The exit status: 0; 128 and the number of the signal that came; or that of the worker that failed first.
    """
    if workers < 2:
        raise ValueError(f"--workers must be at least 2, not {workers}; one process needs no launcher.")
    if list(command[:1]) != ["train"]:
        raise ValueError("Behind -- comes a training, such as `keras-llm launch --workers 2 -- train gpt2`.")
    processes = []
    try:
        for i, config in enumerate(worker_configs(workers)):
            processes.append(_start([*program, *command], config, i))
        readers = [_read(process, i) for i, process in enumerate(processes)]
        with _passing_on(processes) as signals:
            gone = _watch(processes, signals)
        for reader in readers:
            reader.join()
    finally:
        _send(processes, signal.SIGKILL)
    if signals:
        return 128 + signals[0]
    if gone is None:
        return 0
    status = processes[gone].returncode
    if status in (128 + signal.SIGTERM, 128 + signal.SIGINT):
        return status  # one of them was asked to stop, and they stopped together
    how = f"ended with status {status}" if status > 0 else f"was killed by {signal.Signals(-status).name}"
    print(
        f"Worker {gone} {how}, and the others were stopped. When the cause is removed, the same command goes on after "
        "the last saved state.",
        file=sys.stderr,
    )
    return status if status > 0 else 128 - status


def worker_configs(workers):
    """TF_CONFIG of each of several workers on this machine, on ports that are free: a list of strings."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(workers)]
        for own in sockets:
            own.bind(("127.0.0.1", 0))
        places = [f"127.0.0.1:{own.getsockname()[1]}" for own in sockets]
    cluster = {"worker": places}
    return [json.dumps({"cluster": cluster, "task": {"type": "worker", "index": i}}) for i in range(workers)]


def _start(words, config, i):
    process = subprocess.Popen(
        words,
        env={**os.environ, "TF_CONFIG": config, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C comes to this process alone, which passes it on
    )
    print(f"[worker {i}] is process {process.pid}", flush=True)
    return process


def _read(process, i):
    """Prints what a worker prints, in a thread."""

    def read():
        for line in process.stdout:
            print(f"[worker {i}] {line.decode('utf-8', 'replace')}", end="", flush=True)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


@contextlib.contextmanager
def _passing_on(processes):
    """Within it, SIGTERM and SIGINT go to all workers; yields the list of those that came."""
    signals = []

    def pass_on(number, frame):
        signals.append(number)
        _send(processes, number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watch(processes, signals):
    """Waits until all have ended, and hurries them where it must: which one was the first to fail, or None."""
    gone, due = None, []
    while None in [process.poll() for process in processes]:
        now = time.monotonic()
        if gone is None and not signals:
            gone = next((i for i, process in enumerate(processes) if process.returncode), None)
            if gone is not None:
                due = [(now + SECONDS_ALONE, signal.SIGTERM), (now + SECONDS_TO_STOP, signal.SIGKILL)]
        if signals and not due:
            due = [(now + SECONDS_TO_SAVE, signal.SIGKILL)]
        if due and now >= due[0][0]:
            _send(processes, due.pop(0)[1])
        time.sleep(0.1)
    if gone is None and not signals:
        gone = next((i for i, process in enumerate(processes) if process.returncode), None)
    return gone


def _send(processes, number):
    for process in processes:
        if process.poll() is None:
            process.send_signal(number)
