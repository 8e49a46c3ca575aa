"""Prints the CloudFormation that the SAM transform makes of a template, as JSON.

`sam validate --lint` looks at the SAM template and misses what only the expansion shows, so
cfn-lint has to see this too. Usage: sam_expand.py TEMPLATE > expanded.json
"""

import json
import os
import sys

os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

from samtranslator.translator.transform import transform  # noqa: E402
from samtranslator.yaml_helper import yaml_parse  # noqa: E402

# What `sam package` would put in place of local code.
UPLOADED = "s3://bucket/code.zip"


class NoManagedPolicies:
    """Stands in for a call to IAM: the template names no managed policy."""

    def load(self):
        return {}


def main(path):
    with open(path, encoding="utf-8") as file:
        template = yaml_parse(file.read())
    template.get("Globals", {}).get("Function", {}).pop("CodeUri", None)
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = UPLOADED
    expanded = transform(template, {}, NoManagedPolicies())
    json.dump(expanded, sys.stdout, indent=1, default=str)
    print()


if __name__ == "__main__":
    main(sys.argv[1])
