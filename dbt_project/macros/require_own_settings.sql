{#
Refuses a build with another source, time zone or currency than those of the warehouse: orders of
two shops would be mixed, or replaced by another shop's. perennial/dbt.py sets those of the home; a
dbt called by hand may have none, or those of another home.
#}
{% macro require_own_settings() %}
    {% if execute %}
        {% if 'unset' in [var('time_zone'), var('currency'), var('training_customers')] %}
            {% do exceptions.raise_compiler_error(
                'dbt does not know the shop: run `eval "$(make dbt-env)"` first, in the root of the repository, or call '
                ~ 'dbt as `perennial dbt -- build`'
            ) %}
        {% endif %}
        {% if not env_var('PERENNIAL_AS_OF_DATE', '') %}
            {% do exceptions.raise_compiler_error(
                'dbt does not know for which date to build: set PERENNIAL_AS_OF_DATE, as 2024-09-10'
            ) %}
        {% endif %}
        {% set rows = run_query(
            "select time_zone, currency, replace(source, 'sample', 'canonical') from " ~ source('ops', 'shop')
        ).rows %}
        {% set wanted = [var('time_zone'), var('currency'), var('source')] %}
        {% if rows and rows[0].values() | list != wanted %}
            {% do exceptions.raise_compiler_error(
                'the warehouse has ' ~ rows[0].values() | join(', ') ~ ', and this build would be in '
                ~ wanted | join(', ') ~ ': set PERENNIAL_TIME_ZONE and PERENNIAL_CURRENCY to the first, or change them '
                ~ 'on purpose with `make shop`'
            ) %}
        {% endif %}
    {% endif %}
{% endmacro %}
