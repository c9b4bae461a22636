"""The automl server: keeps uploads, data sets, jobs and models, and starts one controller process for each running job.

`automl_server.app` puts the parts together. Nothing in this package imports TensorFlow, Keras, pandas or scikit-learn: data
are parsed and models trained in child processes.
"""
