"""TensorFlow Serving's answers to wrong requests: codes and texts."""

import grpc
import pytest
from calls import CLASSIFY, EXAMPLE, IMAGE, ONE, TASK, TINY

NOT_FOUND = grpc.StatusCode.NOT_FOUND
INVALID = grpc.StatusCode.INVALID_ARGUMENT
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED

ERRORS = [
    # Picking the model.
    *[
        (rpc, "", INVALID, "Missing ModelSpec")
        for rpc in ("Predict", "Classify", "Regress", "GetModelStatus")
    ],
    ("GetModelMetadata", "", INVALID, "Missing ModelSpec"),
    *[
        (rpc, "model_spec { }", INVALID, "ModelSpec has no name specified.")
        for rpc in ("Predict", "Classify", "Regress")
    ],
    ("MultiInference", "", INVALID, "ModelSpec has no name specified."),
    (
        "Predict",
        "model_spec { name: 'other' }",
        NOT_FOUND,
        "Servable not found for request: Latest(other)",
    ),
    (
        "Predict",
        "model_spec { name: 'tiny' version { value: 7 } }",
        NOT_FOUND,
        "Servable not found for request: Specific(tiny, 7)",
    ),
    (
        "Classify",
        "model_spec { name: 'tiny' version { } }",
        NOT_FOUND,
        "Servable not found for request: Specific(tiny, 0)",
    ),
    (
        "Predict",
        "model_spec { name: 'tiny' version_label: 'best' }",
        INVALID,
        "Unrecognized servable version label: best",
    ),
    (
        "Predict",
        "model_spec { name: 'other' version_label: 'best' }",
        INVALID,
        "Unrecognized servable version label: best",
    ),
    # Predict.
    (
        "Predict",
        "model_spec { name: 'tiny' signature_name: 'sing' }",
        PRECONDITION,
        'Serving signature key "sing" not found.',
    ),
    (
        "Predict",
        TINY,
        INVALID,
        "input size does not match signature: 0!=1 len({}) != "
        "len({image_bytes}). Sent extra: {}. Missing but required: "
        "{image_bytes}.",
    ),
    (
        "Predict",
        f"{TINY} {IMAGE} inputs {{ key: 'more' value {{ {ONE} }} }}",
        INVALID,
        "input size does not match signature: 2!=1 len({image_bytes,more}) "
        "!= len({image_bytes}). Sent extra: {more}. Missing but required: "
        "{}.",
    ),
    (
        "Predict",
        f"{TINY} inputs {{ key: 'x' value {{ {ONE} }} }}",
        INVALID,
        "Signature input alias: image_bytes(feed name: "
        "serving_default_image_bytes:0) not found in request and no default "
        "value provided. Inputs expected to be in the request {image_bytes}, "
        "or default input alias set: ",
    ),
    (
        "Predict",
        f"{TINY} inputs {{ key: 'image_bytes' value {{ }} }}",
        INVALID,
        "tensor parsing error: image_bytes",
    ),
    (
        "Predict",
        f"{TINY} {IMAGE} output_filter: 'score'",
        INVALID,
        "output tensor alias not found in signature: score Outputs expected "
        "to be in the set {fake_probability,reason,verdict}.",
    ),
    (
        "Predict",
        f"{TINY} {IMAGE} output_filter: ['verdict', 'verdict']",
        INVALID,
        "duplicate output tensor alias: verdict",
    ),
    # Classify and Regress.
    (
        "Classify",
        "model_spec { name: 'tiny' signature_name: 'sing' }",
        INVALID,
        "No signature was found with the name: sing",
    ),
    ("Classify", CLASSIFY, INVALID, "Input is empty."),
    (
        "Classify",
        "model_spec { name: 'tiny' signature_name: "
        "'__saved_model_init_op' } " + EXAMPLE,
        INVALID,
        "Expected one input Tensor.",
    ),
    (
        "Regress",
        f"{CLASSIFY} {EXAMPLE}",
        INVALID,
        "Expected one output Tensor.",
    ),
    # MultiInference.
    (
        "MultiInference",
        TASK + "tasks { model_spec { } }",
        INVALID,
        "Found ModelSpec with an empty model name.",
    ),
    (
        "MultiInference",
        TASK + "tasks { model_spec { name: 'other' } }",
        INVALID,
        "All ModelSpecs in a MultiInferenceRequest must access the same "
        "model name.",
    ),
    (
        "MultiInference",
        f"{TASK} {TASK}",
        INVALID,
        "Duplicate evaluation of signature: classify",
    ),
    (
        "MultiInference",
        "tasks { model_spec { name: 'tiny' signature_name: 'sing' } }",
        INVALID,
        "Requested signature not found in model graph: sing",
    ),
    (
        "MultiInference",
        f"tasks {{ {CLASSIFY} method_name: 'guess' }}",
        UNIMPLEMENTED,
        "Unsupported signature method_name: guess",
    ),
    # Metadata and status.
    (
        "GetModelMetadata",
        "model_spec { name: 'other' }",
        INVALID,
        "GetModelMetadataRequest must specify at least one metadata_field",
    ),
    (
        "GetModelMetadata",
        "model_spec { name: 'other' } metadata_field: 'weather'",
        INVALID,
        "Metadata field weather is not supported",
    ),
    (
        "GetModelStatus",
        "model_spec { name: 'other' }",
        NOT_FOUND,
        "Could not find any versions of model other",
    ),
    (
        "GetModelStatus",
        "model_spec { name: 'tiny' version { value: 7 } }",
        NOT_FOUND,
        "Could not find version 7 of model tiny",
    ),
]
# Where the model server's text goes on with what nobody should depend on.
BEGINNINGS = [
    (
        "Classify",
        f"{TINY} {EXAMPLE}",
        INVALID,
        "Expected one or two output Tensors, found 3",
    ),
    (
        "Classify",
        f"model_spec {{ name: 'tiny' signature_name: 'embed' }} {EXAMPLE}",
        INVALID,
        "No classification inputs found in SignatureDef: ",
    ),
    (
        "Regress",
        f"model_spec {{ name: 'tiny' signature_name: 'embed' }} {EXAMPLE}",
        INVALID,
        "No regression inputs found in SignatureDef: ",
    ),
    (
        "Predict",
        f"{TINY} inputs {{ key: 'image_bytes' value {{ dtype: DT_FLOAT "
        "tensor_shape { dim { size: 1 } } float_val: 1 } }",
        INVALID,
        "Expects arg[0] to be string but float32 is provided",
    ),
]


def refused(call, rpc, request):
    with pytest.raises(grpc.RpcError) as caught:
        call(rpc, request)
    return caught.value.code(), caught.value.details()


@pytest.mark.parametrize(("rpc", "request_text", "code", "text"), ERRORS)
def test_error(call, rpc, request_text, code, text):
    assert refused(call, rpc, request_text) == (code, text)


@pytest.mark.parametrize(("rpc", "request_text", "code", "text"), BEGINNINGS)
def test_error_begins(call, rpc, request_text, code, text):
    got_code, got_text = refused(call, rpc, request_text)
    assert got_code == code
    assert got_text.startswith(text)


def test_long_errors_are_cut(call):
    name = "n" * 2000
    _, text = refused(call, "Predict", f"model_spec {{ name: '{name}' }}")
    beginning = f"Servable not found for request: Latest({name}"[:1024]
    assert text == beginning + "...TRUNCATED"


def test_a_wrong_rank_is_the_requests_fault(call):
    scalar = "inputs { key: 'image_bytes' value { dtype: DT_STRING } }"
    code, _ = refused(call, "Predict", f"{TINY} {scalar}")
    assert code == INVALID
