# Witnesses for histograft.stats, computed by R alone (base and stats packages).
# Usage: Rscript make_golden.R > golden.json
json <- function(x) {
  if (is.list(x)) {
    items <- mapply(function(n, v) paste0('"', n, '": ', json(v)), names(x), x)
    return(paste0("{", paste(items, collapse = ", "), "}"))
  }
  text <- ifelse(is.na(x), "null", formatC(x, digits = 17, format = "g", width = 1))
  if (length(x) == 1) text else paste0("[", paste(text, collapse = ", "), "]")
}

tables <- list(c(40, 20), c(26, 25), c(30, 30), c(100, 3), c(13, 12), c(0, 60))
mcnemar <- lapply(tables, function(t) {
  result <- mcnemar.test(matrix(c(50, t[2], t[1], 50), 2))
  list(b = t[1], c = t[2], statistic = unname(result$statistic), p = result$p.value)
})
few <- list(c(1, 9), c(0, 5), c(7, 7), c(12, 3))
exact <- lapply(few, function(t) {
  list(b = t[1], c = t[2], p = binom.test(t[1], sum(t), 0.5)$p.value)
})
names(mcnemar) <- paste0("case", seq_along(mcnemar))
names(exact) <- paste0("case", seq_along(exact))

p <- c(0.01, 0.04, 0.03, 0.005, 0.55, 1, 0.04, 1e-12, NA, 0.2)
adjusted <- list(p = p, holm = p.adjust(p, "holm"), bh = p.adjust(p, "BH"))

# Differences of 3 repeats of 4 folds, row by row.
d <- c(0.021, 0.014, -0.006, 0.032, 0.018, 0.009, 0.027, 0.011, 0.003, 0.024, 0.016, 0.019)
plain <- t.test(d)
n_train <- 90; n_test <- 30; n <- length(d)
corrected <- mean(d) / sqrt((1 / n + n_test / n_train) * var(d))
t_tests <- list(
  differences = d, n_train = n_train, n_test = n_test,
  plain_t = unname(plain$statistic), plain_p = plain$p.value, plain_se = plain$stderr,
  corrected_t = corrected, corrected_p = 2 * pt(-abs(corrected), n - 1)
)

m <- matrix(c(50, 3, 2, 7, 40, 5, 1, 6, 30), 3, byrow = TRUE)  # rows truth, columns predicted
total <- sum(m); hits <- diag(m); truth <- rowSums(m); called <- colSums(m)
p_o <- sum(hits) / total; p_e <- sum(truth * called) / total^2
f1 <- 2 * hits / (truth + called)
# Matthews correlation: Pearson correlation of the stacked class indicators of each unit,
# each column centered (Gorodkin's definition, unit by unit instead of from counts).
cells <- which(m > 0, arr.ind = TRUE)
units <- cells[rep(seq_len(nrow(cells)), m[cells]), ]
center <- function(k) { x <- outer(k, 1:3, "=="); sweep(x, 2, colMeans(x)) }
X <- center(units[, 1]); Y <- center(units[, 2])
confusion <- list(
  matrix = as.vector(t(m)), accuracy = p_o, kappa = (p_o - p_e) / (1 - p_e),
  mcc = sum(X * Y) / sqrt(sum(X^2) * sum(Y^2)),
  balanced_accuracy = mean(hits / truth), macro_precision = mean(hits / called),
  macro_f1 = mean(f1), weighted_f1 = weighted.mean(f1, truth),
  recall = hits / truth, precision = hits / called, f1 = f1
)
cat(json(list(mcnemar = mcnemar, exact = exact, adjusted = adjusted, t_tests = t_tests,
              confusion = confusion)), "\n")
