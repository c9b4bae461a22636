"""C++ for TensorFlow Lite Micro: a model as an array with what a program has to know of it, and a program that runs it."""

from __future__ import annotations

import dataclasses
import json
import re

OPERATIONS = {
    "ABS": "AddAbs", "ADD": "AddAdd", "ADD_N": "AddAddN", "ARG_MAX": "AddArgMax", "ARG_MIN": "AddArgMin",
    "AVERAGE_POOL_2D": "AddAveragePool2D", "BATCH_MATMUL": "AddBatchMatMul", "BATCH_TO_SPACE_ND": "AddBatchToSpaceNd",
    "BROADCAST_ARGS": "AddBroadcastArgs", "BROADCAST_TO": "AddBroadcastTo", "CAST": "AddCast",
    "CONCATENATION": "AddConcatenation", "CONV_2D": "AddConv2D", "CUMSUM": "AddCumSum",
    "DEPTH_TO_SPACE": "AddDepthToSpace", "DEPTHWISE_CONV_2D": "AddDepthwiseConv2D", "DIV": "AddDiv", "ELU": "AddElu",
    "EQUAL": "AddEqual", "EXPAND_DIMS": "AddExpandDims", "FILL": "AddFill", "FULLY_CONNECTED": "AddFullyConnected",
    "GATHER": "AddGather", "GATHER_ND": "AddGatherNd", "GREATER": "AddGreater", "GREATER_EQUAL": "AddGreaterEqual",
    "HARD_SWISH": "AddHardSwish", "L2_NORMALIZATION": "AddL2Normalization", "LEAKY_RELU": "AddLeakyRelu",
    "LESS": "AddLess", "LESS_EQUAL": "AddLessEqual", "LOGICAL_AND": "AddLogicalAnd", "LOGICAL_NOT": "AddLogicalNot",
    "LOGICAL_OR": "AddLogicalOr", "LOGISTIC": "AddLogistic", "LOG_SOFTMAX": "AddLogSoftmax", "MAXIMUM": "AddMaximum",
    "MAX_POOL_2D": "AddMaxPool2D", "MEAN": "AddMean", "MINIMUM": "AddMinimum", "MIRROR_PAD": "AddMirrorPad",
    "MUL": "AddMul", "NOT_EQUAL": "AddNotEqual", "PACK": "AddPack", "PAD": "AddPad", "PADV2": "AddPadV2",
    "PRELU": "AddPrelu", "QUANTIZE": "AddQuantize", "REDUCE_MAX": "AddReduceMax", "REDUCE_MIN": "AddReduceMin",
    "RELU": "AddRelu", "RELU6": "AddRelu6", "RESHAPE": "AddReshape", "RESIZE_BILINEAR": "AddResizeBilinear",
    "RESIZE_NEAREST_NEIGHBOR": "AddResizeNearestNeighbor", "REVERSE_V2": "AddReverseV2", "RSQRT": "AddRsqrt",
    "SELECT_V2": "AddSelectV2", "SHAPE": "AddShape", "SLICE": "AddSlice", "SOFTMAX": "AddSoftmax",
    "SPACE_TO_BATCH_ND": "AddSpaceToBatchNd", "SPACE_TO_DEPTH": "AddSpaceToDepth", "SPLIT": "AddSplit",
    "SPLIT_V": "AddSplitV", "SQUARED_DIFFERENCE": "AddSquaredDifference", "SQUEEZE": "AddSqueeze",
    "STRIDED_SLICE": "AddStridedSlice", "SUB": "AddSub", "SUM": "AddSum", "SVDF": "AddSvdf", "TANH": "AddTanh",
    "TRANSPOSE": "AddTranspose", "TRANSPOSE_CONV": "AddTransposeConv",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "AddUnidirectionalSequenceLSTM", "UNPACK": "AddUnpack", "ZEROS_LIKE": "AddZerosLike",
}
"""TFLite's name of an operation that TensorFlow Lite Micro computes in integers (or that only moves values), and what adds
it to a `MicroMutableOpResolver`. As of the sources of August 2026."""

_NAMESPACE = "automl"


@dataclasses.dataclass(frozen=True)
class Tensor:
    """An input or output."""

    name: str
    type: str
    """"int8" or "int32"."""
    shape: list[int]
    scale: float | None
    """Real value = (integer - zero point) · scale; None for integers that are codes."""
    zero_point: int
    values: list[int] = dataclasses.field(default_factory=list)
    """Of the example's row."""

    def with_values(self, values: list[int]) -> Tensor:
        return dataclasses.replace(self, values=values)

    @property
    def constant(self) -> str:
        """The name as a part of C++ names: "numeric" → "Numeric"."""
        return "".join(part.capitalize() for part in re.split(r"\W+|_", self.name))

    @property
    def size(self) -> int:
        product = 1
        for axis in self.shape:
            product *= axis
        return product


@dataclasses.dataclass(frozen=True)
class Source:
    """What the three files are written from."""

    content: bytes
    arena_bytes: int
    origin: str
    """Of the arena's size, for people."""
    inputs: list[Tensor]
    output: Tensor
    expected: list[int]
    """The example row's outputs."""
    operations: list[str]
    classes: tuple[str, ...]

    def header(self) -> bytes:
        lines = [
            "// A model for TensorFlow Lite Micro, made by automl.",
            "#ifndef AUTOML_MODEL_H_", "#define AUTOML_MODEL_H_", "",
            "#include <cstddef>", "#include <cstdint>", "", f"namespace {_NAMESPACE} {{", "",
            "// The flatbuffer, to be read where it lies.",
            f"constexpr std::size_t kModelBytes = {len(self.content)};",
            "extern const unsigned char kModel[kModelBytes];", "",
            "// Memory for tflite::MicroInterpreter:",
            *_comment(self.origin),
            f"constexpr std::size_t kArenaBytes = {self.arena_bytes};", "",
            "// Real value = (integer - zero point) * scale; codes have no scale.",
        ]
        for place, tensor in enumerate(self.inputs):
            lines += self._tensor(tensor, f"Input {place}", tensor.constant)
            lines += [f"constexpr int k{tensor.constant}Input = {place};", ""]
        lines += self._tensor(self.output, "Output 0", "Output")
        if self.classes:
            lines += ["// The classes in the order of the outputs.", "extern const char* const kLabels[kOutputSize];"]
        return _ascii([*lines, "", f"}}  // namespace {_NAMESPACE}", "", "#endif  // AUTOML_MODEL_H_"])

    def _tensor(self, tensor: Tensor, what: str, name: str) -> list[str]:
        shape = ", ".join(map(str, tensor.shape))
        lines = [
            f"// {what}: {tensor.name}, {tensor.type} [{shape}].",
            f"constexpr std::size_t k{name}Size = {tensor.size};",
        ]
        if tensor.scale is not None:
            lines += [
                f"constexpr float k{name}Scale = {tensor.scale:.9e}f;",
                f"constexpr int k{name}ZeroPoint = {tensor.zero_point};",
            ]
        return lines

    def array(self) -> bytes:
        lines = ['#include "model.h"', "", f"namespace {_NAMESPACE} {{", "",
                 "alignas(16) extern const unsigned char kModel[kModelBytes] = {"]
        lines += [
            "    " + " ".join(f"0x{byte:02x}," for byte in self.content[start : start + 12])
            for start in range(0, len(self.content), 12)
        ]
        lines.append("};")
        if self.classes:
            labels = ", ".join(_literal(" ".join(name.split())) for name in self.classes)
            lines += ["", f"extern const char* const kLabels[kOutputSize] = {{{labels}}};"]
        return _ascii([*lines, "", f"}}  // namespace {_NAMESPACE}"])

    def example(self) -> bytes:
        rows = []
        for tensor in self.inputs:
            name = f"k{tensor.constant}"
            rows += [f"const std::{tensor.type}_t {name}[automl::{name}Size] = {{", *_numbers(tensor.values), "};"]
        added = " ||\n      ".join(f"resolver.{OPERATIONS[name]}() != kTfLiteOk" for name in self.operations)
        filled = [
            f"  std::memcpy(interpreter.input(automl::k{tensor.constant}Input)->data.raw, k{tensor.constant}, "
            f"sizeof(k{tensor.constant}));"
            for tensor in self.inputs
        ]
        label = 'automl::kLabels[i]' if self.classes else f'"{self.output.name}"'
        lines = [
            "// Runs one row of the validation part and compares with what the model gave when it was made.",
            "#include <cstdint>", "#include <cstdio>", "#include <cstdlib>", "#include <cstring>", "",
            '#include "model.h"',
            '#include "tensorflow/lite/micro/micro_interpreter.h"',
            '#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"',
            '#include "tensorflow/lite/micro/system_setup.h"',
            '#include "tensorflow/lite/schema/schema_generated.h"', "",
            "namespace {", "",
            "alignas(16) std::uint8_t arena[automl::kArenaBytes];", "",
            "// The row's inputs, in the model's integers, and its outputs.",
            *rows,
            "const std::int8_t kExpected[automl::kOutputSize] = {", *_numbers(self.expected), "};", "",
            "// Kernels of a vendor may round differently.", "constexpr int kAllowed = 2;", "",
            "}  // namespace", "",
            "int main() {",
            "  tflite::InitializeTarget();",
            "  const tflite::Model* model = tflite::GetModel(automl::kModel);",
            "  if (model->version() != TFLITE_SCHEMA_VERSION) {",
            '    std::printf("the model is of another schema\\n");', "    return 1;", "  }",
            "  // The operations that this model has, and no others.",
            f"  static tflite::MicroMutableOpResolver<{len(self.operations)}> resolver;",
            f"  if ({added}) {{", "    return 1;", "  }",
            "  static tflite::MicroInterpreter interpreter(model, resolver, arena, sizeof(arena));",
            "  if (interpreter.AllocateTensors() != kTfLiteOk) {",
            '    std::printf("%u bytes of arena are too few here\\n", static_cast<unsigned>(sizeof(arena)));',
            "    return 1;", "  }",
            *filled,
            "  if (interpreter.Invoke() != kTfLiteOk) {", "    return 1;", "  }",
            "  const std::int8_t* output = interpreter.output(0)->data.int8;",
            "  bool equal = true;",
            "  for (std::size_t i = 0; i < automl::kOutputSize; ++i) {",
            "    const double value = (output[i] - automl::kOutputZeroPoint) * static_cast<double>(automl::kOutputScale);",
            f'    std::printf("%s: %.4f\\n", {label}, value);',
            "    equal = equal && std::abs(output[i] - kExpected[i]) <= kAllowed;",
            "  }",
            '  std::printf(equal ? "as expected\\n" : "not what was expected\\n");',
            "  return equal ? 0 : 1;",
            "}",
        ]
        return _ascii(lines)


def array_in(source: str) -> bytes:
    """The model in a `model.cc`. Raises `ValueError` where there is none."""
    found = re.search(r"kModel\[kModelBytes\] = \{([^}]*)\}", source)
    if found is None:
        raise ValueError("model.cc holds no array kModel")
    return bytes(int(one, 16) for one in re.findall(r"0x([0-9a-f]{2})", found.group(1)))


def arena_in(header: str) -> int:
    """The arena's size in a `model.h`. Raises `ValueError` where it isn't said."""
    found = re.search(r"kArenaBytes = (\d+);", header)
    if found is None:
        raise ValueError("model.h holds no kArenaBytes")
    return int(found.group(1))


def _numbers(values: list[int]) -> list[str]:
    return ["    " + " ".join(f"{value}," for value in values[start : start + 16]) for start in range(0, len(values), 16)]


def _literal(text: str) -> str:
    """A C++ string: JSON's, with what isn't ASCII as bytes of UTF-8. Each escape of a byte ends its own literal, since it
    would swallow a digit that follows."""
    pieces = []
    for character in text:
        if ord(character) < 128:
            pieces.append(json.dumps(character)[1:-1].replace("?", "\\?"))
        else:
            pieces += [f'\\x{byte:02x}" "' for byte in character.encode()]
    return '"' + "".join(pieces) + '"'


def _comment(text: str, width: int = 100) -> list[str]:
    lines, line = [], "//"
    for word in text.split():
        if len(line) + len(word) + 1 > width:
            lines.append(line)
            line = "//"
        line += " " + word
    return [*lines, line]


def _ascii(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode("ascii")
