{#
    Feature tables hold dates, and a run replaces whole dates: those that end on as_of_date, and those on the
    grid that saw a day which a changed file touches. dbt's delete+insert would keep the old rows of a date whose
    new result is smaller, because it deletes only keys that come back.

    `until` is the column that says which day a row saw up to, that day excluded.

    --full-refresh makes the grid anew in place (so the models have `full_refresh: false`): dbt would drop the
    table, the views that read it, and the dates off the grid that were scored.
#}

{% macro is_replaced(until) -%}
    (
        {{ until }} = date '{{ var("as_of_date") }}'
        or (
            extract(day from as_of_date) = 1
            {%- if not flags.FULL_REFRESH %}
            and {{ until }} > (select min(first_touched_date) from {{ ref('int_snapshot_dates') }})
            {%- endif %}
        )
    )
{%- endmacro %}

{# Dates to make: of those that are there, the replaced ones; of those that are not, the wanted ones. #}
{% macro is_due(wanted, until='as_of_date', keys=['as_of_date']) -%}
    {%- if is_incremental() -%}
    case
        when exists (
            select from {{ this }} as built
            where {% for key in keys %}{{ 'and ' if not loop.first }}built.{{ key }} = dates.{{ key }} {% endfor %}
        ) then {{ is_replaced(until) }}
        else {{ wanted }}
    end
    {%- else -%}
    {{ wanted }}
    {%- endif -%}
{%- endmacro %}

{% macro get_incremental_replace_dates_sql(arg_dict) -%}
    delete from {{ arg_dict.target_relation }}
    where {{ is_replaced(arg_dict.unique_key) }};

    {{ get_insert_into_sql(arg_dict.target_relation, arg_dict.temp_relation, arg_dict.dest_columns) }}
{%- endmacro %}
