"""Tables to pictures and to one report page; computes no statistics.

Every picture is a pure function from tables to a `matplotlib.figure.Figure`; `style.save_figure`
writes it, and `page.render_page` puts the pictures into one self-contained page.
"""
