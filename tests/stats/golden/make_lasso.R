# Paths and cross-validation of glmnet, witness of histograft.stats.RLasso.
# Usage: Rscript make_lasso.R > lasso.json
# Inputs come from a generator that any language repeats exactly (Park and Miller's minimal
# standard, exact in double precision), so they need not be stored.
suppressMessages(library(glmnet))
state <- 1
uniform <- function() { state <<- (16807 * state) %% 2147483647; state / 2147483647 }
bell <- function(n) vapply(seq_len(n), function(i) ((uniform() + uniform()) + uniform()) - 1.5, 0)
json <- function(x) {
  if (is.list(x)) {
    items <- mapply(function(n, v) paste0('"', n, '": ', json(v)), names(x), x)
    return(paste0("{", paste(items, collapse = ",\n"), "}"))
  }
  text <- formatC(x, digits = 10, format = "g", width = 1)
  if (length(x) == 1 && !is.null(attr(x, "single"))) text
  else paste0("[", paste(text, collapse = ", "), "]")
}
single <- function(x) structure(x, single = TRUE)
# thresh = 1e-20 solves to the end. 1e-10 does not: where features are correlated or outnumber the
# units, coefficients are then off by up to 1e-3 of the largest.
case <- function(family, n, p, seed, noise, constant = integer(), thresh = 1e-20, mix = 0.5) {
  state <<- seed
  x <- matrix(bell(n * p), n, p, byrow = TRUE)
  signal <- x[, 1] - x[, 2] + x[, 3] / 2
  # Neighbours are correlated; columns have scales and offsets of their own.
  for (k in 2:p) x[, k] <- x[, k] + mix * x[, k - 1]
  for (k in seq_len(p)) x[, k] <- x[, k] * (1 + k %% 7) + k
  x[, constant] <- 0.1
  y <- signal + noise * bell(n)
  if (family == "binomial") y <- as.integer(y > 0.25)
  fit <- cv.glmnet(x, y, family = family, foldid = 1 + (seq_len(n) * 7) %% 10, thresh = thresh,
                   maxit = 1e8)
  path <- fit$glmnet.fit
  at <- c(2, 5, 10, 20, 30, 40, 60, 80, 100)
  at <- at[at <= length(path$lambda)]
  beta <- as.matrix(path$beta)[, at]
  list(
    lambda = path$lambda, dev_ratio = path$dev.ratio, a0 = unname(path$a0),
    at = at, feature = which(beta != 0, arr.ind = TRUE)[, 1], value = beta[beta != 0],
    column = which(beta != 0, arr.ind = TRUE)[, 2],
    cvm = fit$cvm, cvsd = fit$cvsd, lambda_min = single(fit$lambda.min),
    lambda_1se = single(fit$lambda.1se)
  )
}
cat(json(suppressWarnings(list(
  gaussian_wide = case("gaussian", 50, 120, 21, 1),
  gaussian_long = case("gaussian", 120, 15, 22, 1),
  binomial_wide = case("binomial", 60, 120, 23, 1),
  binomial_long = case("binomial", 120, 15, 24, 1),
  binomial_constant = case("binomial", 60, 40, 25, 2, c(1, 17)),
  gaussian_few = case("gaussian", 25, 10, 26, 0.5),
  gaussian_long_10 = case("gaussian", 120, 15, 22, 1, thresh = 1e-10),
  binomial_long_10 = case("binomial", 120, 15, 24, 1, thresh = 1e-10),
  gaussian_wide_10 = case("gaussian", 100, 120, 27, 1, thresh = 1e-10, mix = 0),
  binomial_wide_10 = case("binomial", 100, 120, 28, 2, thresh = 1e-10, mix = 0)
))), "\n")
