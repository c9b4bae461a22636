"""The services of `automl.v1`: each call converts, asks the parts behind it, converts back, and raises what goes wrong."""
