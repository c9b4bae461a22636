"""Makes an artifact of nothing: its size is that of the kit, its precision the one asked for."""

import hashlib
import json
import os
import sys

request = json.loads(sys.stdin.readline())
with open(request["kit"], "rb") as file:
    content = b"made of " + file.read()
limit = request["max_size_bytes"]
if limit is not None and len(content) > limit:
    reason = f"the file is {len(content)} B, and at most {limit} B were asked for"
    print(json.dumps({"refused": [{"format": request["format"], "precision": "int8", "reason": reason}]}))
    sys.exit(0)
precision = request["precision"] or "float16"
name = f"model-{precision}.tflite"
path = os.path.join(request["out"], name)
with open(path, "wb") as file:
    file.write(content)
verification = {
    "part": "test", "rows": 10, "metric": "accuracy", "float_value": 0.8, "artifact_value": 0.8, "agreement": 1.0,
    "max_difference": 0.0, "tolerance": request["tolerance"] or 0.01, "passed": True, "runtime": "none",
}
artifact = {
    "id": f"tflite-{precision}", "format": request["format"], "precision": precision, "filename": name,
    "size_bytes": len(content), "compressed_bytes": 9, "sha256": hashlib.sha256(content).hexdigest(), "parameters": 1,
    "verification": verification, "members": {},
}
print(json.dumps({"artifact": artifact, "path": path, "notes": []}))
