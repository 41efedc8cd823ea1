"""The messages of Caffe's protobuf format that our nets need, as classes, without Caffe and without a compiler.

Names and field numbers are the format itself: BVLC's caffe.proto, with SSD's layers as OpenCV numbers them
(modules/dnn/src/caffe/opencv-caffe.proto).

>>> net = NetParameter(name="tiny")
>>> _ = net.layer.add(name="conv1", type="Convolution", bottom=["data"], top=["conv1"])
>>> print(to_text(net), end="")
name: "tiny"
layer {
  name: "conv1"
  type: "Convolution"
  bottom: "data"
  top: "conv1"
}
"""

from __future__ import annotations

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory, text_format

_PACKAGE = "sqdet_caffe"

_ENUMS = {
    "PoolMethod": {"MAX": 0, "AVE": 1},
    "CodeType": {"CORNER": 1, "CENTER_SIZE": 2},
    "BlobType": {"FLOAT": 1, "FLOAT16": 2},
}

# message: field: (number, type), type with a leading * for repeated and ** for repeated and packed
_MESSAGES = {
    "BlobShape": {"dim": (1, "**int64")},
    "BlobProto": {
        "data": (5, "**float"),
        "shape": (7, "BlobShape"),
        "raw_data_type": (10, "BlobType"),
        "raw_data": (12, "bytes"),
    },
    "ConcatParameter": {"axis": (2, "int32")},
    "ConvolutionParameter": {
        "num_output": (1, "uint32"),
        "bias_term": (2, "bool"),
        "pad": (3, "*uint32"),
        "kernel_size": (4, "*uint32"),
        "group": (5, "uint32"),
        "stride": (6, "*uint32"),
    },
    "CropParameter": {"axis": (1, "int32"), "offset": (2, "*uint32")},
    "PoolingParameter": {
        "pool": (1, "PoolMethod"),
        "kernel_size": (2, "uint32"),
        "stride": (3, "uint32"),
        "pad": (4, "uint32"),
        "global_pooling": (12, "bool"),
        "ceil_mode": (1000, "bool"),  # as `clip` below: OpenCV's, and that of several forks
    },
    "ReLUParameter": {"negative_slope": (1, "float")},
    "SoftmaxParameter": {"axis": (2, "int32")},
    "SliceParameter": {"slice_point": (2, "*uint32"), "axis": (3, "int32")},
    "FlattenParameter": {"axis": (1, "int32")},
    "ReshapeParameter": {"shape": (1, "BlobShape")},
    "ScaleParameter": {"axis": (1, "int32"), "num_axes": (2, "int32"), "bias_term": (4, "bool")},
    "PermuteParameter": {"order": (1, "*uint32")},
    "PriorBoxParameter": {
        "clip": (5, "bool"),
        "variance": (6, "*float"),
        "step_h": (11, "float"),
        "step_w": (12, "float"),
        "offset": (13, "float"),
        "width": (16, "*float"),
        "height": (17, "*float"),
    },
    "NonMaximumSuppressionParameter": {"nms_threshold": (1, "float"), "top_k": (2, "int32")},
    "DetectionOutputParameter": {
        "num_classes": (1, "uint32"),
        "share_location": (2, "bool"),
        "background_label_id": (3, "int32"),
        "nms_param": (4, "NonMaximumSuppressionParameter"),
        "code_type": (6, "CodeType"),
        "keep_top_k": (7, "int32"),
        "confidence_threshold": (9, "float"),
        # In no Caffe: OpenCV keeps fields of a prototxt that it does not know as parameters, and its layer knows this.
        "clip": (1000, "int32"),
    },
    "LayerParameter": {
        "name": (1, "string"),
        "type": (2, "string"),
        "bottom": (3, "*string"),
        "top": (4, "*string"),
        "blobs": (7, "*BlobProto"),
        "concat_param": (104, "ConcatParameter"),
        "convolution_param": (106, "ConvolutionParameter"),
        "pooling_param": (121, "PoolingParameter"),
        "relu_param": (123, "ReLUParameter"),
        "softmax_param": (125, "SoftmaxParameter"),
        "slice_param": (126, "SliceParameter"),
        "reshape_param": (133, "ReshapeParameter"),
        "flatten_param": (135, "FlattenParameter"),
        "scale_param": (142, "ScaleParameter"),
        "crop_param": (144, "CropParameter"),
        "detection_output_param": (147, "DetectionOutputParameter"),
        "permute_param": (148, "PermuteParameter"),
        "prior_box_param": (150, "PriorBoxParameter"),
    },
    "NetParameter": {
        "name": (1, "string"),
        "input": (3, "*string"),
        "input_dim": (4, "*int32"),
        "layer": (100, "*LayerParameter"),
    },
}


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name=f"{_PACKAGE}.proto", package=_PACKAGE, syntax="proto2")
    for name, values in _ENUMS.items():
        enum = file.enum_type.add(name=name)
        for value_name, number in values.items():
            enum.value.add(name=value_name, number=number)
    for name, fields in _MESSAGES.items():
        descriptor = file.message_type.add(name=name)
        for field_name, (number, kind) in fields.items():
            _add_field(descriptor, field_name, number, kind)
    return file


def _add_field(descriptor: descriptor_pb2.DescriptorProto, name: str, number: int, kind: str) -> None:
    field_type = descriptor_pb2.FieldDescriptorProto
    base = kind.lstrip("*")
    field = descriptor.field.add(name=name, number=number)
    field.label = field_type.LABEL_REPEATED if kind.startswith("*") else field_type.LABEL_OPTIONAL
    if base in _MESSAGES or base in _ENUMS:
        field.type = field_type.TYPE_MESSAGE if base in _MESSAGES else field_type.TYPE_ENUM
        field.type_name = f".{_PACKAGE}.{base}"
    else:
        field.type = getattr(field_type, f"TYPE_{base.upper()}")
    field.options.packed = kind.startswith("**")


_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_file())
NetParameter = message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.NetParameter"))
LayerParameter = message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.LayerParameter"))


def add_blob(layer: message.Message, value: np.ndarray, half: bool = False) -> None:
    """Appends float32 numbers to a layer's blobs; `half` stores them as float16, an extension of NVIDIA's Caffe that
    OpenCV reads."""
    blob = layer.blobs.add()
    blob.shape.dim.extend(value.shape)
    if half:
        blob.raw_data_type = _ENUMS["BlobType"]["FLOAT16"]
        blob.raw_data = value.astype("<f2").tobytes()
    else:
        blob.data.extend(value.astype(np.float32).ravel().tolist())


def to_text(net: message.Message) -> str:
    """A prototxt: the net without its blobs."""
    bare = type(net)()
    bare.CopyFrom(net)
    for layer in bare.layer:
        layer.ClearField("blobs")
    return text_format.MessageToString(bare)


def from_text(text: str) -> message.Message:
    """A NetParameter from a prototxt. Raises text_format.ParseError for fields that none of our nets has."""
    return text_format.Parse(text, NetParameter())
