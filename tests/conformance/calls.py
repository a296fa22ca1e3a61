"""Requests in the text format of protocol buffers, as the tests write them."""

from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)

REQUESTS = {
    "Predict": predict_pb2.PredictRequest,
    "Classify": classification_pb2.ClassificationRequest,
    "Regress": regression_pb2.RegressionRequest,
    "MultiInference": inference_pb2.MultiInferenceRequest,
    "GetModelMetadata": get_model_metadata_pb2.GetModelMetadataRequest,
    "GetModelStatus": get_model_status_pb2.GetModelStatusRequest,
    "HandleReloadConfigRequest": model_management_pb2.ReloadConfigRequest,
}
ONE = "dtype: DT_STRING tensor_shape { dim { size: 1 } } string_val: 'x'"
IMAGE = f"inputs {{ key: 'image_bytes' value {{ {ONE} }} }}"
TINY = "model_spec { name: 'tiny' }"
CLASSIFY = "model_spec { name: 'tiny' signature_name: 'classify' }"
EXAMPLE = "input { example_list { examples { } } }"
