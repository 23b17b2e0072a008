"""``DeepImputer`` beside other imputers: tables, text, sequences, and what it costs."""
