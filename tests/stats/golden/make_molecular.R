# Witnesses of correlations, ROC areas, calibration and tests over genes: R and its package pROC.
# Usage: Rscript make_molecular.R > molecular.json
suppressMessages(library(pROC))
json <- function(x) {
  if (is.list(x)) {
    items <- mapply(function(n, v) paste0('"', n, '": ', json(v)), names(x), x)
    return(paste0("{", paste(items, collapse = ",\n"), "}"))
  }
  text <- ifelse(is.na(x), "null", formatC(x, digits = 17, format = "g", width = 1))
  if (length(x) == 1) text else paste0("[", paste(text, collapse = ", "), "]")
}
# Park and Miller's minimal standard: the same numbers on any machine.
state <- 1
uniform <- function() { state <<- (16807 * state) %% 2147483647; state / 2147483647 }
bell <- function(n) vapply(seq_len(n), function(i) uniform() + uniform() + uniform() - 1.5, 0)

correlation <- function(n, digits, gaps) {
  truth <- round(bell(n), digits)
  predicted <- round(0.4 * truth + bell(n), digits)
  truth[gaps] <- NA
  test <- function(...) cor.test(predicted, truth, ...)
  pearson <- test()
  spearman <- suppressWarnings(test(method = "spearman", exact = FALSE))
  list(truth = truth, predicted = predicted,
       pearson = unname(pearson$estimate), p = pearson$p.value,
       greater = test(alternative = "greater")$p.value,
       spearman = unname(spearman$estimate), p_spearman = spearman$p.value)
}
state <- 11
correlations <- list(plain = correlation(40, 6, integer()), gaps = correlation(40, 6, c(1, 7, 30)),
                     ties = correlation(60, 1, 5), few = correlation(5, 6, 2))

areas <- function(n, digits, share) {
  truth <- as.integer(vapply(seq_len(n), function(i) uniform() < share, TRUE))
  first <- round(0.5 * truth + bell(n), digits)
  second <- round(0.3 * truth + 0.5 * first + bell(n), digits)
  curves <- lapply(list(first, second), function(s) roc(truth, s, levels = c(0, 1), direction = "<"))
  test <- roc.test(curves[[1]], curves[[2]], method = "delong", paired = TRUE)
  ci <- function(k) as.vector(ci.auc(curves[[k]], method = "delong"))[c(1, 3)]
  list(truth = truth, first = first, second = second,
       auc = vapply(curves, function(c) as.numeric(auc(c)), 0),
       variance = vapply(curves, function(c) as.numeric(var(c, method = "delong")), 0),
       covariance = cov(curves[[1]], curves[[2]], method = "delong"),
       interval_first = ci(1), interval_second = ci(2),
       z = unname(test$statistic), p = test$p.value)
}
state <- 12
rocs <- list(plain = areas(60, 6, 0.4), ties = areas(80, 1, 0.3), few = areas(12, 2, 0.3))

calibration <- function(n, stretch, shift) {
  truth <- as.integer(vapply(seq_len(n), function(i) uniform() < 0.35, TRUE))
  p <- plogis(stretch * (0.6 * truth + bell(n)) + shift)
  exact <- glm.control(epsilon = 1e-14, maxit = 100)
  line <- summary(glm(truth ~ qlogis(p), family = binomial, control = exact))$coefficients
  large <- summary(glm(truth ~ offset(qlogis(p)), family = binomial, control = exact))$coefficients
  list(truth = truth, probability = p, brier = mean((p - truth)^2),
       intercept = line[1, 1], intercept_se = line[1, 2], slope = line[2, 1], slope_se = line[2, 2],
       in_the_large = large[1, 1], in_the_large_se = large[1, 2])
}
state <- 13
calibrations <- list(strong = calibration(80, 3, 0.5), weak = calibration(80, 1e-4, -1.2),
                     plain = calibration(200, 1, -0.5))
shares <- list(c(0, 10), c(3, 10), c(10, 10), c(40, 344))
wilson <- lapply(shares, function(s) {
  ends <- suppressWarnings(prop.test(s[1], s[2], correct = FALSE)$conf.int)
  list(events = s[1], n = s[2], low = ends[1], high = ends[2])
})
names(wilson) <- paste0("case", seq_along(wilson))

signed_rank <- function(d) {
  result <- suppressWarnings(wilcox.test(d))
  list(differences = d, statistic = unname(result$statistic), p = result$p.value)
}
state <- 14
ranks <- list(nine = signed_rank(c(0.05, 0.04, 0.03, 0.021, 0.012, 0.001, -0.002, -0.013, -0.026)),
              best = signed_rank(1:9 / 100), many = signed_rank(round(bell(45) + 0.1, 6)),
              ties = signed_rank(round(bell(80) + 0.1, 1)))
cat(json(list(correlations = correlations, rocs = rocs, calibrations = calibrations,
              wilson = wilson, ranks = ranks)), "\n")
