"""Fine-tuning a backbone on annotated images: samples, loss, trainer; and the making of `tiny` itself."""
