"""What a user of the endpoint can mend."""


class EndpointError(Exception):
    """The endpoint cannot do what was asked. The message says what is wrong and what to do."""
