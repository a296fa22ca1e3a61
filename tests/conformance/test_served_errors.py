"""Wrong requests get the codes that TensorFlow Serving gives them."""

import grpc
import pytest
from calls import CLASSIFY, EXAMPLE, IMAGE, ONE, TINY

NOT_FOUND = grpc.StatusCode.NOT_FOUND
INVALID = grpc.StatusCode.INVALID_ARGUMENT
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION


def tiny(rest):
    return f"model_spec {{ name: 'tiny' {rest} }}"


def image_bytes(tensor):
    return f"{TINY} inputs {{ key: 'image_bytes' value {{ {tensor} }} }}"


ERRORS = {
    "no model_spec": ("Predict", "", INVALID),
    "no model_spec to classify": ("Classify", "", INVALID),
    "no model_spec of metadata": ("GetModelMetadata", "", INVALID),
    "no model_spec of a status": ("GetModelStatus", "", INVALID),
    "no name": ("Predict", "model_spec { }", INVALID),
    "no name of a status": ("GetModelStatus", "model_spec { }", INVALID),
    "unknown model": ("Predict", "model_spec { name: 'other' }", NOT_FOUND),
    "unknown version": ("Predict", tiny("version { value: 7 }"), NOT_FOUND),
    "version 0": ("Classify", tiny("version { }"), NOT_FOUND),
    "unknown label": ("Predict", tiny("version_label: 'best'"), INVALID),
    "label of an unknown model": (
        "Predict",
        "model_spec { name: 'other' version_label: 'best' }",
        INVALID,
    ),
    "unknown signature": (
        "Predict",
        tiny("signature_name: 'sing'"),
        PRECONDITION,
    ),
    "no input": ("Predict", TINY, INVALID),
    "one input more": (
        "Predict",
        f"{TINY} {IMAGE} inputs {{ key: 'more' value {{ {ONE} }} }}",
        INVALID,
    ),
    "another input": (
        "Predict",
        f"{TINY} inputs {{ key: 'x' value {{ {ONE} }} }}",
        INVALID,
    ),
    "no tensor": ("Predict", image_bytes(""), INVALID),
    "wrong type": (
        "Predict",
        image_bytes(
            "dtype: DT_FLOAT tensor_shape { dim { size: 1 } } float_val: 1"
        ),
        INVALID,
    ),
    "wrong rank": ("Predict", image_bytes("dtype: DT_STRING"), INVALID),
    "unknown output": (
        "Predict",
        f"{TINY} {IMAGE} output_filter: 'score'",
        INVALID,
    ),
    "one output twice": (
        "Predict",
        f"{TINY} {IMAGE} output_filter: ['verdict', 'verdict']",
        INVALID,
    ),
    "unknown signature to classify": (
        "Classify",
        tiny("signature_name: 'sing'") + EXAMPLE,
        INVALID,
    ),
    "signature not made to classify": (
        "Classify",
        f"{TINY} {EXAMPLE}",
        INVALID,
    ),
    "no example": ("Classify", CLASSIFY, INVALID),
    "no metadata_field": ("GetModelMetadata", TINY, INVALID),
    "unknown metadata_field": (
        "GetModelMetadata",
        f"{TINY} metadata_field: 'weather'",
        INVALID,
    ),
    "field before model": (
        "GetModelMetadata",
        "model_spec { name: 'other' } metadata_field: 'weather'",
        INVALID,
    ),
    "status of an unknown model": (
        "GetModelStatus",
        "model_spec { name: 'other' }",
        NOT_FOUND,
    ),
    "status of an unknown version": (
        "GetModelStatus",
        tiny("version { value: 7 }"),
        NOT_FOUND,
    ),
}
LACKING = {
    "Regress": TINY,
    "MultiInference": "",
    "HandleReloadConfigRequest": "",
}
LONGEST = 1024


@pytest.mark.parametrize("what", ERRORS)
def test_a_wrong_request_is_refused(call, what):
    rpc, request, code = ERRORS[what]
    with pytest.raises(grpc.RpcError) as caught:
        call(rpc, request)
    assert caught.value.code() == code
    assert caught.value.details()


@pytest.mark.parametrize("rpc", LACKING)
def test_what_the_stand_in_lacks_it_says(call, server, rpc):
    if server.name != "stand-in":
        pytest.skip("a model server has it")
    with pytest.raises(grpc.RpcError) as caught:
        call(rpc, LACKING[rpc])
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_an_error_stays_short(call):
    name = "n" * 100_000
    with pytest.raises(grpc.RpcError) as caught:
        call("Predict", f"model_spec {{ name: '{name}' }}")
    assert caught.value.code() == NOT_FOUND
    details = caught.value.details().removesuffix("...TRUNCATED")
    assert len(details) <= LONGEST
