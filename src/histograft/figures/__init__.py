"""Tables to pictures and to one report page; computes no statistics.

What is drawn comes from tables but for two things: matplotlib takes the quartiles of a box, and a
cell of a confusion matrix is divided by the sum of its row.

Every picture is a pure function from tables to a `matplotlib.figure.Figure`; `style.save_figure`
writes it, and `page.render_page` puts the pictures into one self-contained page.
"""
