//! The events that AWS's front doors make of a request.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::client::Call;

/// The event of payload version 2.0: a Function URL, or an HTTP API's default stage.
pub(crate) fn event(call: &Call) -> Value {
    let (path, query) = call.path.split_once('?').unwrap_or((&call.path, ""));
    let (body, is_base64) = body(call);
    let host = "x.lambda-url.us-east-1.on.aws";
    let mut headers = json!({
        "host": host, "x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.7",
    });
    for (name, value) in &call.headers {
        headers[name] = value.as_str().into();
    }
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query,
        "headers": headers, "body": body, "isBase64Encoded": is_base64,
        "requestContext": {
            "accountId": "anonymous", "apiId": "x", "domainName": host, "domainPrefix": "x",
            "requestId": "r-1", "routeKey": "$default", "stage": "$default",
            "http": {
                "method": call.method, "path": path, "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7", "userAgent": "test",
            },
            "time": "01/Jan/2026:00:00:00 +0000", "timeEpoch": 1_767_225_600_000_u64,
        },
    })
}

/// The event of payload version 1.0: a REST API, whose stage is part of the URL.
pub(crate) fn rest_event(stage: &str, call: &Call) -> Value {
    let (path, query) = call.path.split_once('?').unwrap_or((&call.path, ""));
    let (body, is_base64) = body(call);
    let host = "abc.execute-api.us-east-1.amazonaws.com";
    let mut headers = json!({ "Host": host, "X-Forwarded-Proto": "https" });
    let mut multiple = json!({ "Host": [host], "X-Forwarded-Proto": ["https"] });
    for (name, value) in &call.headers {
        headers[name] = value.as_str().into();
        multiple[name] = json!([value]);
    }
    let pairs: Vec<_> =
        query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let single: Option<Value> = (!pairs.is_empty())
        .then(|| pairs.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect());
    let multiple_query: Option<Value> = (!pairs.is_empty())
        .then(|| pairs.iter().map(|(k, v)| ((*k).to_owned(), json!([v]))).collect());
    json!({
        "resource": path, "path": path, "httpMethod": call.method,
        "headers": headers, "multiValueHeaders": multiple,
        "queryStringParameters": single, "multiValueQueryStringParameters": multiple_query,
        "pathParameters": null, "stageVariables": null,
        "requestContext": {
            "accountId": "123456789012", "apiId": "abc", "stage": stage,
            "path": format!("/{stage}{path}"), "resourcePath": path,
            "httpMethod": call.method, "requestId": "r-1", "domainName": host,
            "identity": { "sourceIp": "203.0.113.7", "userAgent": "test" },
        },
        "body": body, "isBase64Encoded": is_base64,
    })
}

/// The front doors send text as it is and everything else as base64.
fn body(call: &Call) -> (Option<String>, bool) {
    if call.body.is_empty() {
        return (None, false);
    }
    match std::str::from_utf8(&call.body) {
        Ok(text) => (Some(text.to_owned()), false),
        Err(_) => (Some(BASE64_STANDARD.encode(&call.body)), true),
    }
}
