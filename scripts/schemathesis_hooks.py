"""What schemathesis holds for invalid and is not."""

import schemathesis


@schemathesis.hook
def filter_case(context, case):
    """Any request may carry headers that an API does not know (RFC 9110, section 5.1)."""
    return not any(name.lower().startswith("x-schemathesis-unknown") for name in case.headers or {})
