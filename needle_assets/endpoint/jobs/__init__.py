"""The life of fine-tuning jobs: validation, order, the trainer's process. No HTTP here."""
