"""scikit-learn's own tests, as they are installed, with our estimators in the place of its.

What is chosen says how an estimator behaves. Left out are tests of what our pages say is not
supported (metrics, norms, precomputed distances), of private attributes, of printed words, and slow
ones.
"""

import importlib
import importlib.util
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from estimator_pairs import PAIRS

pytestmark = pytest.mark.filterwarnings("default")

_CHOSEN = {
    "cluster.tests.test_k_means": """
        all_init centers_not_mutated dense_sparse feature_names_out fit_transform float_precision
        fortran_aligned_data integer_input k_means_1_iteration kmeans_convergence kmeans_copyx
        kmeans_elkan_results kmeans_empty_cluster_relocated kmeans_init_fitted_centers
        kmeans_results kmeans_warns_less_centers_than_unique_points
        kmeans_with_array_like_or_np_scalar_init
        minibatch_kmeans_partial_fit_init minibatch_kmeans_warning_init_size
        minibatch_sensible_reassign minibatch_with_many_reassignments n_init predict_dense_sparse
        predict_does_not_change_cluster_centers relocating_with_duplicates sample_weight_unchanged
        result_equal_in_diff_n_threads scaled_weights score_max_iter unit_weights_vs_no_weights
        warning_elkan_1_cluster warning_n_init_precomputed_centers weighted_vs_repeated
    """,
    "cluster.tests.test_hdbscan": """
        dbscan_clustering dbscan_clustering_outlier_data hdbscan_allow_single_cluster_with_epsilon
        hdbscan_better_than_dbscan hdbscan_feature_array hdbscan_no_clusters
        hdbscan_too_many_min_samples outlier_data
    """,
    "decomposition.tests.test_pca": """
        feature_names_out fit_mle_too_few_samples infer_dim_by_explained_variance
        mle_redundant_data mle_simple_case n_components_mle n_components_mle_error
        n_components_none no_empty_slice_warning pca pca_check_projection
        pca_check_projection_list pca_deterministic_output pca_dim pca_dtype_preservation
        pca_inverse pca_n_components_mostly_explained_variance_ratio pca_sanity_noise_variance
        pca_score3 pca_score_consistency_solvers pca_singular_values_consistency
        pca_sparse_fit_transform pca_validation small_eigenvalues_mle
        sparse_pca_auto_arpack_singular_values_consistency sparse_pca_solver_error
        variance_correctness whitening
    """,
    "decomposition.tests.test_incremental_pca": """
        incremental_pca incremental_pca_against_pca_iris incremental_pca_against_pca_random_data
        incremental_pca_batch_rank incremental_pca_batch_signs incremental_pca_batch_values
        incremental_pca_check_projection incremental_pca_feature_names_out
        incremental_pca_fit_overflow_error incremental_pca_inverse
        incremental_pca_num_features_change incremental_pca_partial_fit
        incremental_pca_partial_fit_float_division incremental_pca_partial_fit_small_batch
        incremental_pca_set_params incremental_pca_sparse incremental_pca_validation
        n_components_none n_samples_equal_n_components whitening
    """,
    "decomposition.tests.test_truncated_svd": """
        attributes explained_variance explained_variance_components_10_20 integers
        inverse_transform singular_values_consistency solvers sparse_formats too_many_components
        truncated_svd_eq_pca
    """,
    "neighbors.tests.test_neighbors": """
        KNeighborsClassifier_multioutput KNeighborsClassifier_raise_on_all_zero_weights
        KNeighborsRegressor_multioutput_uniform_weight k_and_radius_neighbors_X_None
        k_and_radius_neighbors_train_is_not_query kneighbors_classifier_sparse kneighbors_graph
        kneighbors_graph_sparse kneighbors_regressor kneighbors_regressor_multioutput
        neighbors_digits neighbors_iris neighbors_regressors_zero_distance
        not_fitted_error_gets_raised predict_dataframe query_equidistant_kth_nn
        radius_neighbors_boundary_handling radius_neighbors_graph regressor_predict_on_arraylikes
        same_knn_parallel
    """,
    "manifold.tests.test_t_sne": """
        accessible_kl_divergence early_exaggeration_used init_ndarray kl_divergence_not_nan
        min_grad_norm reduction_to_one_component tsne_perplexity_validation
        tsne_works_with_pandas_output
    """,
    "tests.test_naive_bayes": """
        NB_partial_fit_no_first_classes alpha discretenb_degenerate_one_class_case
        discretenb_partial_fit discretenb_predict_proba discretenb_prior
        discretenb_provide_prior discretenb_provide_prior_with_partial_fit
        discretenb_sample_weight_multiclass discretenb_uniform_prior mnnb
        mnb_prior_unobserved_targets predict_joint_proba
    """,
}


def _swap(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, (ours, theirs) in PAIRS.items():
        owner = importlib.import_module(".".join(theirs.__module__.split(".")[:2]))
        monkeypatch.setattr(owner, name, ours)


def _load(path: str) -> ModuleType:
    """A module of tests of its own, whose imports and parameters are our estimators."""
    spec: Any = importlib.util.find_spec(f"sklearn.{path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _chosen() -> dict[str, Any]:
    found = {}
    with pytest.MonkeyPatch.context() as monkeypatch:
        _swap(monkeypatch)
        for path, names in _CHOSEN.items():
            module = _load(path)
            subject = path.rpartition("test_")[2]
            for name in names.split():
                found[f"test_{subject}_{name}"] = getattr(module, f"test_{name}")
            if subject == "truncated_svd":
                found["X_sparse"] = module.X_sparse  # a fixture
    return found


globals().update(_chosen())


@pytest.fixture(autouse=True)
def _ours_in_their_place(monkeypatch):
    _swap(monkeypatch)


@pytest.fixture
def global_random_seed():
    return 42


@pytest.fixture
def global_dtype():
    return np.float64
