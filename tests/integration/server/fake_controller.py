"""A controller that trains nothing: it speaks the protocol, and misbehaves as the job's display name asks.

The name holds words:

    trials=3   so many trials              tempo=MS   so long for each
    hold       waits for a command then    report     writes a report
    fail       ends FAILED                 noise      prints what is no event
    die        dies at once, always        crash=2    dies after every second trial of a process
    orphan     dies, and a child of its holds the pipe
    hang       ignores everything          stubborn   hears no cancel
    overrun    never ends after its artifact
    lie        the artifact isn't what was proven
    gap        skips an event's number     nothing    no artifact

Standard library only, so that it starts fast.
"""

import hashlib
import json
import os
import select
import subprocess
import sys
import time

commands = b""
while b"\n" not in commands:  # not `readline`: it would keep what follows the first line from `select`
    data = os.read(0, 65536)
    if not data:
        sys.exit(3)  # the server was killed before it had said anything
    commands += data
first, _, commands = commands.partition(b"\n")
request = json.loads(first)
words = dict(word.partition("=")[::2] for word in request["spec"]["display_name"].split())
past = request["events"]
sequence = past[-1]["sequence"] if past else 0


def say(kind, **values):
    global sequence
    sequence += 1
    line = json.dumps({"sequence": sequence, "time": time.time(), "payload": {"kind": kind, **values}})
    os.write(1, line.encode() + b"\n")


def hear(timeout_s):
    """The commands that came; exits when standard input ended."""
    global commands
    if b"\n" not in commands:
        if not select.select([0], [], [], timeout_s)[0]:
            return []
        data = os.read(0, 65536)
        if not data:
            sys.exit(3)
        commands += data
    *lines, commands = commands.split(b"\n")
    return [json.loads(line) for line in lines]


def finish(state, **values):
    say(
        "job-finished",
        state=state,
        metric="accuracy",
        validation=0.9,
        test=0.88,
        test_metrics={"accuracy": 0.88},
        recipe=RECIPE,
        wall_s=1.0,
        goodput=0.75,
        **values,
    )
    sys.exit(0)


def obey(timeout_s):
    for command in hear(timeout_s):
        if command["command"] == "slots":
            say("noted", message=f"slots {command['slots']}")
        elif command["command"] == "cancel" and "stubborn" not in words:
            finish("CANCELLED", message="Cancelled.")
        elif command["command"] == "finish":
            words.pop("hold", None)
            return


RECIPE = {"task": "tabular-classification", "architecture": {"id": "mlp"}, "seed": 1}
VERIFICATION = {
    "part": "test",
    "rows": 10,
    "metric": "accuracy",
    "float_value": 0.88,
    "artifact_value": 0.87,
    "agreement": 0.99,
    "max_difference": 0.01,
    "tolerance": 0.01,
    "passed": True,
    "runtime": "none 1.0",
    "latency": {"median_ms": 0.1, "p90_ms": 0.2, "runs": 10, "threads": 1, "machine": "test"},
}

print(f"controller of {request['job']} from event {sequence}", file=sys.stderr)
if "die" in words:
    sys.exit(7)
if "hang" in words:
    say("phase-started", phase="PREPARING")
    while True:
        time.sleep(60)
if "noise" in words:
    os.write(1, b"Epoch 1/1 ...\n\n12\n")
say("noted", message=f"slots {request['slots']}")
say("noted", message=f"started with {len(past)} events")
if "gap" in words:
    sequence += 1
    say("noted", message="after a gap")
kinds = [event["payload"]["kind"] for event in past]
if "data-prepared" not in kinds:
    say("phase-started", phase="PREPARING")
    say(
        "data-prepared",
        task="tabular-classification",
        task_inferred=request["spec"]["task"] is None,
        target="label",
        metric="accuracy",
        parts={"train": 7, "validation": 2, "test": 1},
        findings=[],
        key="k",
        profile={"modality": "table", "task": "tabular-classification", "rows": 7, "classes": 2},
    )
    say("phase-started", phase="SEARCHING")
ended = {event["payload"]["trial"] for event in past if event["payload"]["kind"] == "trial-ended"}
done_here = 0
for number in range(1, int(words.get("trials", 2)) + 1):
    trial = f"t{number}"
    if trial in ended:
        continue
    say(
        "trial-started",
        trial=trial,
        attempt=1,
        recipe=RECIPE | {"seed": number},
        fidelity={"epochs": 2},
        origin="portfolio",
        slot=0,
    )
    for epoch in (1, 2):
        say(
            "trial-measured",
            trial=trial,
            attempt=1,
            measurement={
                "epoch": epoch,
                "train_loss": 0.5,
                "validation": {"accuracy": 0.8 + epoch / 100},
                "score": 0.8 + epoch / 100,
                "elapsed_s": 1.0,
                "step_s": 0.8,
            },
        )
    obey(float(words.get("tempo", 0)) / 1000)
    say("trial-ended", trial=trial, attempt=1, outcome="COMPLETED", wall_s=1.0, step_s=0.8, parameters=100, best_epoch=2)
    say("sampler-state", sampler="tpe", state={"number": number, "padding": "x" * 1000})
    done_here += 1
    if "crash" in words and done_here == int(words["crash"]):
        os.kill(os.getpid(), 9)
    if "orphan" in words and not ended:
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        os._exit(9)
while "hold" in words:
    obey(None)
if "fail" in words:
    finish("FAILED", message="No usable model.", reason="NO_MODEL")
say("phase-started", phase="VERIFYING")
artifacts = os.path.join(request["workdir"], "artifacts")
os.makedirs(artifacts, exist_ok=True)
data = b"model of %s " % request["job"].encode() * 200_000
with open(os.path.join(artifacts, "model-int8.tflite"), "wb") as file:
    file.write(data)
if "nothing" not in words:
    say(
        "artifact-made",
        artifact={
            "id": "tflite-int8",
            "format": "tflite",
            "precision": "int8",
            "filename": "model-int8.tflite",
            "size_bytes": len(data),
            "compressed_bytes": 1000,
            "sha256": "0" * 64 if "lie" in words else hashlib.sha256(data).hexdigest(),
            "parameters": 100,
            "verification": VERIFICATION,
        },
    )
say("artifact-refused", refused={"format": "tflite", "precision": "float16", "reason": "outside the tolerance"})
if "report" in words:
    with open(os.path.join(request["workdir"], "report.html"), "w") as file:
        file.write("<html>the controller's own</html>")
if "kit" in words:
    with open(os.path.join(artifacts, "model.kit.zip"), "wb") as file:
        file.write(b"a model and some rows")
if "overrun" in words:
    while True:
        time.sleep(60)
finish("SUCCEEDED")
