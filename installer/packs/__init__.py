"""Large files in parts, and packs of weights that are installed offline."""
