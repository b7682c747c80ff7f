{#
No build in another time zone, or under another currency, than the warehouse's: orders of both would be mixed. Whoever
calls dbt takes the vars from the home (perennial/shop.py); this is for homes that do not know the warehouse's own.
#}
{% macro require_own_settings() %}
    {% if execute %}
        {% set rows = run_query('select time_zone, currency from ' ~ source('ops', 'shop')).rows %}
        {% set wanted = [var('time_zone'), var('currency')] %}
        {% if rows and rows[0].values() | list != wanted %}
            {% do exceptions.raise_compiler_error(
                'the warehouse has ' ~ rows[0].values() | join(', ') ~ ', and this build would be in '
                ~ wanted | join(', ') ~ ': set PERENNIAL_TIME_ZONE and PERENNIAL_CURRENCY to the first, or change them '
                ~ 'on purpose with `make shop`'
            ) %}
        {% endif %}
    {% endif %}
{% endmacro %}
