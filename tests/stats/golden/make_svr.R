# Predictions of e1071::svm, witness of histograft.stats.RSVR.
# Usage: Rscript make_svr.R > svr.json
# Inputs come from a generator that any language repeats exactly (Park and Miller's minimal
# standard, exact in double precision), so they need not be stored.
suppressMessages(library(e1071))
state <- 1
uniform <- function() { state <<- (16807 * state) %% 2147483647; state / 2147483647 }
bell <- function(n) vapply(seq_len(n), function(i) ((uniform() + uniform()) + uniform()) - 1.5, 0)
table_of <- function(n, p, seed) {
  state <<- seed
  x <- matrix(bell(n * p), n, p, byrow = TRUE)
  # Columns with scales and offsets of their own.
  for (k in seq_len(p)) x[, k] <- x[, k] * k + 3 * k
  list(x = x, y = 20 * ((x[, 1] / 1 + x[, 2] / 2) + bell(n)) + 5)
}
predictions <- function(n, m, p, seed, ..., constant = integer(), keep = seq_len(p)) {
  data <- table_of(n + m, p, seed)
  data$x[, constant] <- 0.1
  x <- data$x[, keep, drop = FALSE]
  model <- suppressWarnings(svm(x[seq_len(n), , drop = FALSE], data$y[seq_len(n)], ...))
  as.vector(predict(model, x[n + seq_len(m), , drop = FALSE]))
}
cases <- list(
  plain = predictions(60, 15, 30, 11),
  wide = predictions(50, 10, 120, 12),
  options = predictions(60, 15, 10, 13, cost = 10, epsilon = 0.05, gamma = 0.02),
  long = predictions(40, 10, 3, 14, cost = 30, epsilon = 0.2),
  constant_r = predictions(40, 10, 6, 15, constant = c(2, 5)),
  constant_drop = predictions(40, 10, 6, 15, constant = c(2, 5), keep = c(1, 3, 4, 6))
)
text <- vapply(cases, function(v) paste(formatC(v, digits = 17, format = "g", width = 1),
                                        collapse = ", "), "")
cat("{", paste0('"', names(cases), '": [', text, "]", collapse = ",\n"), "}\n")
