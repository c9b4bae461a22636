.PHONY: protos
PYTHON ?= .venv/bin/python
protos:
	$(PYTHON) -m grpc_tools.protoc -I protos --python_out=protos --pyi_out=protos --grpc_python_out=protos protos/automl_protos/v1/*.proto
