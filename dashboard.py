"""The viewer: `streamlit run dashboard.py`. Reads the database, writes nothing."""

from core.dashboard import main

main()
