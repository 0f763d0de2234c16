"""OpenAI's wire format: requests in, objects and errors out. What a job does is not here."""
