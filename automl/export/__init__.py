"""From a candidate to files that are proven in their own runtime.

A format is one file here: it declares itself (`catalog.format`) and brings three functions that run in child processes,
found by name in the module that the declaration's `exporter` names:

    write(request) -> dict            makes the file from a candidate (see `deliver` for the request)
    load(path, threads) -> Predictor  opens nothing but the file's own bytes in the file's own runtime
    estimate_s(parameters) -> float   seconds that `write` takes on one core

`deliver` carries a job's formats through writing and verification; `verify` compares with the float model; `companions` are
the small files that travel inside each artifact; `card` writes the model card; `run` is the command line that predicts with
SavedModel and .keras artifacts; `kit` keeps what further artifacts are made of later. At module level nothing here
imports TensorFlow, Keras, pandas or scikit-learn: the
catalogue's discovery imports these modules in the server.
"""
